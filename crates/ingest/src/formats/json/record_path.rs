//! The rows within a JSON document: the way to them is walked, and everything beside it skipped, without keeping it.
//!
//! Invariant: lines are counted from the beginning of the document.
//! Invariant: a document that ends too early or has the way to its rows twice is refused.

use std::io::{self, BufRead as _, BufReader, Read};

use sluice_domain::{Format, RecordPath};

use super::records::{Scanner, line_ends};
use crate::decode_error::{DecodeError, shortened};

const BUFFER_BYTES: usize = 64 << 10;
/// A key that is longer is not one that a path names.
const MAX_KEY_BYTES: usize = 64 << 10;

/// The array or object at this place of a document, after as many empty lines as there are lines before it.
pub(in crate::formats) fn rows_at(
    path: &RecordPath,
    document: Box<dyn Read + Send>,
) -> Result<Box<dyn Read + Send>, DecodeError> {
    let mut document = Document { source: BufReader::with_capacity(BUFFER_BYTES, document), line: 1 };
    let mut passed = Vec::with_capacity(path.0.len());
    for step in &path.0 {
        passed.push(document.enter(step)?);
    }
    match document.mark()? {
        Some(b'[' | b'{') => {}
        _ => return Err(document.malformed("there is no array of rows at the record path")),
    }
    let lines_before = document.line - 1;
    Ok(Box::new(Rows { document, passed, lines_before, scanner: Scanner::default(), stage: Stage::Before }))
}

/// A step that was taken, to be seen again when the rest of its container is skipped.
enum Step {
    Key(String),
    Place,
}

#[derive(PartialEq)]
enum Stage {
    Before,
    Within,
    After,
}

/// Gives out the rows.
struct Rows {
    document: Document,
    passed: Vec<Step>,
    lines_before: u64,
    scanner: Scanner,
    stage: Stage,
}

impl Read for Rows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.stage == Stage::Before && self.lines_before > 0 {
            let length = usize::try_from(self.lines_before).unwrap_or(usize::MAX).min(buffer.len());
            buffer[..length].fill(b'\n');
            self.lines_before -= length as u64;
            return Ok(length);
        }
        if self.stage == Stage::After {
            return Ok(0);
        }
        self.stage = Stage::Within;
        let part = self.document.source.fill_buf()?;
        let part = &part[..part.len().min(buffer.len())];
        let end = self.scanner.end_in(part);
        let length = end.unwrap_or(part.len());
        buffer[..length].copy_from_slice(&part[..length]);
        self.document.line += line_ends(&part[..length]);
        self.document.source.consume(length);
        if end.is_some() {
            self.stage = Stage::After;
            self.document.leave(&self.passed)?;
        }
        Ok(length)
    }
}

/// A document that is read from front to back.
struct Document {
    source: BufReader<Box<dyn Read + Send>>,
    line: u64,
}

impl Document {
    /// Go into the array or object here, up to the value at this step.
    fn enter(&mut self, step: &str) -> Result<Step, DecodeError> {
        match self.mark()? {
            Some(b'{') => {
                self.source.consume(1);
                self.find_key(step)?;
                Ok(Step::Key(step.to_owned()))
            }
            Some(b'[') => {
                self.source.consume(1);
                self.find_place(step)?;
                Ok(Step::Place)
            }
            _ => Err(self.absent(step)),
        }
    }

    fn find_key(&mut self, step: &str) -> Result<(), DecodeError> {
        if self.mark()? == Some(b'}') {
            return Err(self.absent(step));
        }
        loop {
            if self.key()? == step {
                return Ok(());
            }
            self.skip_value()?;
            if !self.another(b'}')? {
                return Err(self.absent(step));
            }
        }
    }

    fn find_place(&mut self, step: &str) -> Result<(), DecodeError> {
        let place: u64 = step.parse().map_err(|_| self.absent(step))?;
        if self.mark()? == Some(b']') {
            return Err(self.absent(step));
        }
        for _ in 0..place {
            self.skip_value()?;
            if !self.another(b']')? {
                return Err(self.absent(step));
            }
        }
        Ok(())
    }

    /// Skip what follows the rows, up to the end of the document.
    fn leave(&mut self, passed: &[Step]) -> Result<(), DecodeError> {
        for step in passed.iter().rev() {
            let closing = if matches!(step, Step::Key(_)) { b'}' } else { b']' };
            while self.another(closing)? {
                if let Step::Key(taken) = step
                    && self.key()? == *taken
                {
                    return Err(self.malformed(&format!("the key {:?} is there twice", shortened(taken))));
                }
                self.skip_value()?;
            }
        }
        match self.mark()? {
            None => Ok(()),
            Some(_) => Err(self.malformed("more follows the document")),
        }
    }

    /// Whether another member follows in a container that is closed so.
    fn another(&mut self, closing: u8) -> Result<bool, DecodeError> {
        let mark = self.mark()?;
        self.source.consume(usize::from(mark.is_some()));
        match mark {
            Some(b',') => Ok(true),
            Some(byte) if byte == closing => Ok(false),
            None => Err(self.malformed("the document ends too early")),
            Some(_) => Err(self.malformed("there must be a comma between two values")),
        }
    }

    /// The key here, and what separates it from its value.
    fn key(&mut self) -> Result<String, DecodeError> {
        if self.mark()? != Some(b'"') {
            return Err(self.malformed("there must be a key in quotes"));
        }
        let quoted = self.string()?;
        let key = serde_json::from_slice(&quoted).map_err(|_| self.malformed("the key is no text"))?;
        if self.mark()? != Some(b':') {
            return Err(self.malformed("there must be a colon after a key"));
        }
        self.source.consume(1);
        Ok(key)
    }

    /// The string here, quotes included; of one that no path names, as much as tells it from others.
    fn string(&mut self) -> Result<Vec<u8>, DecodeError> {
        let (mut text, mut escaped) = (Vec::new(), false);
        loop {
            let [byte] = self.source.fill_buf()?.first_chunk().copied().ok_or_else(|| self.cut_off())?;
            self.source.consume(1);
            let is_end = byte == b'"' && !escaped && !text.is_empty();
            escaped = byte == b'\\' && !escaped;
            if text.len() > MAX_KEY_BYTES {
                return Err(self.malformed(&format!("the key has more than {MAX_KEY_BYTES} bytes")));
            }
            text.push(byte);
            if is_end {
                return Ok(text);
            }
        }
    }

    fn skip_value(&mut self) -> Result<(), DecodeError> {
        match self.mark()? {
            Some(b'{' | b'[') => self.skip_until(&mut Scanner::default(), |scanner, part| scanner.end_in(part)),
            Some(b'"') => {
                // What a scanner sees as the end of an array is the end of the string in it.
                let mut state = (0_usize, false);
                self.skip_until(&mut state, string_end)
            }
            Some(b',' | b']' | b'}' | b':') | None => Err(self.malformed("there must be a value")),
            Some(_) => self.skip_until(&mut (), |(), part| {
                part.iter().position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n'))
            }),
        }
    }

    /// Skip what goes up to the end that is found in the parts of it.
    fn skip_until<S>(
        &mut self,
        state: &mut S,
        end_in: impl Fn(&mut S, &[u8]) -> Option<usize>,
    ) -> Result<(), DecodeError> {
        loop {
            let part = self.source.fill_buf()?;
            if part.is_empty() {
                return Err(self.cut_off());
            }
            let end = end_in(state, part);
            let length = end.unwrap_or(part.len());
            self.line += line_ends(&part[..length]);
            self.source.consume(length);
            if end.is_some() {
                return Ok(());
            }
        }
    }

    /// The next byte that is no white space, not yet taken.
    fn mark(&mut self) -> Result<Option<u8>, DecodeError> {
        loop {
            let part = self.source.fill_buf()?;
            let blank = part.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
            let (mark, is_over) = (part.get(blank).copied(), part.is_empty());
            self.line += line_ends(&part[..blank]);
            self.source.consume(blank);
            if mark.is_some() || is_over {
                return Ok(mark);
            }
        }
    }

    fn absent(&self, step: &str) -> DecodeError {
        self.malformed(&format!("the record path leads nowhere: {:?} is not there", shortened(step)))
    }

    fn cut_off(&self) -> DecodeError {
        self.malformed("the document ends too early")
    }

    fn malformed(&self, reason: &str) -> DecodeError {
        DecodeError::Malformed { format: Format::Json, line: Some(self.line), column: None, reason: reason.to_owned() }
    }
}

/// Where the string ends whose bytes so far, and whether the last of them escapes the next one, are the state.
fn string_end((taken, escaped): &mut (usize, bool), part: &[u8]) -> Option<usize> {
    for (at, &byte) in part.iter().enumerate() {
        let is_end = byte == b'"' && !*escaped && *taken > 0;
        *escaped = byte == b'\\' && !*escaped;
        *taken += 1;
        if is_end {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests;
