//! Where the records and fields of a block of delimited text are, by the rules that the parser of records has.
//!
//! Invariant: what is found here is what the parser finds, or nothing is: a block that is unusual is left to it.

use wide::u8x16;

use sluice_domain::CsvOptions;

/// How many bytes are looked at in one step.
const STEP_BYTES: usize = 64;
const LANES: usize = 16;
/// Set in the end of a field that is in the text of unescaped fields, not in the block.
const UNESCAPED: u32 = 1 << 31;
/// The longest block whose places fit beside the flag.
const MAX_BLOCK_BYTES: usize = 1 << 30;

/// The bytes that mean something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    delimiter: u8,
    /// A line end where nothing is quoted.
    quote: u8,
}

impl Marks {
    pub(super) fn of(options: &CsvOptions) -> Self {
        Self { delimiter: options.delimiter, quote: options.quote.unwrap_or(b'\n') }
    }

    /// Whether every character of the text is a mark or none.
    pub(super) fn are_characters(self) -> bool {
        self.delimiter.is_ascii() && self.quote.is_ascii()
    }

    fn is_quoting(self) -> bool {
        self.quote != b'\n'
    }

    /// Where the last line that ends a record ends.
    pub(super) fn end_of_records(self, text: &[u8]) -> Option<usize> {
        if !self.is_quoting() {
            return memchr::memrchr(b'\n', text).map(|at| at + 1);
        }
        let (mut end, mut start) = (None, 0);
        loop {
            let quote = self.opening_quote(text, start);
            let plain = &text[start..quote.unwrap_or(text.len())];
            end = memchr::memrchr(b'\n', plain).map(|at| start + at + 1).or(end);
            let Some(quote) = quote else { return end };
            match closing_quote(text, quote + 1, self.quote) {
                Some(closing) => start = closing + 1,
                None => return end,
            }
        }
    }

    /// The first quote from there on that begins a quoted field: one within a field is a byte like others.
    fn opening_quote(self, text: &[u8], from: usize) -> Option<usize> {
        let opens = |at: &usize| match at.checked_sub(1).and_then(|before| text.get(before)) {
            Some(&before) => before == self.delimiter || matches!(before, b'\n' | b'\r'),
            None => true,
        };
        memchr::memchr_iter(self.quote, text.get(from..)?).map(|at| from + at).find(opens)
    }
}

/// The quote that ends a quoted field; of two in a row, neither does.
fn closing_quote(text: &[u8], mut from: usize, quote: u8) -> Option<usize> {
    loop {
        let at = from + memchr::memchr(quote, text.get(from..)?)?;
        if text.get(at + 1) != Some(&quote) {
            return Some(at);
        }
        from = at + 2;
    }
}

/// The fields of the records of one block, row by row.
pub(super) struct Fields<'b> {
    text: &'b str,
    unescaped: String,
    spans: Vec<(u32, u32)>,
    columns: usize,
}

impl<'b> Fields<'b> {
    /// Find the fields of a block; none where a record is not as it should be.
    pub(super) fn find(block: &'b [u8], marks: Marks, columns: usize, record_bytes: usize) -> Option<Self> {
        let text = std::str::from_utf8(block).ok().filter(|text| text.len() < MAX_BLOCK_BYTES)?;
        let spans = Vec::with_capacity(block.len() / 6);
        let mut fields = Self { text, unescaped: String::new(), spans, columns };
        fields.scan(marks, record_bytes).then_some(fields)
    }

    /// How many records there are.
    pub(super) fn rows(&self) -> usize {
        self.spans.len() / self.columns.max(1)
    }

    /// The texts of one column in these rows.
    pub(super) fn column(&self, column: usize, rows: std::ops::Range<usize>) -> impl Iterator<Item = &str> {
        rows.map(move |row| {
            let (start, end) = self.spans[row * self.columns + column];
            let (text, end) = match end & UNESCAPED {
                0 => (self.text, end),
                _ => (self.unescaped.as_str(), end ^ UNESCAPED),
            };
            text.get(start as usize..end as usize).unwrap_or_default()
        })
    }

    /// Whether all records are as they should be.
    fn scan(&mut self, marks: Marks, record_bytes: usize) -> bool {
        let bytes = self.text.as_bytes();
        let mut places = Places::new(bytes, marks);
        let (mut start, mut record_start) = (0, 0);
        let mut row_end = self.columns;
        while let Some(at) = places.next() {
            let byte = bytes[at];
            if byte == marks.delimiter {
                self.spans.push((start as u32, at as u32));
                start = at + 1;
            } else if byte == marks.quote && marks.is_quoting() {
                if at != start {
                    continue;
                }
                let Some(end) = self.quoted(&mut places, at, marks) else { return false };
                start = end;
                if bytes.get(end).is_none_or(|&byte| byte != marks.delimiter) {
                    // A line end or the end of the block follows: the field is there already.
                    if !self.end_record(&mut row_end, end - record_start, record_bytes) {
                        return false;
                    }
                    record_start = end + 1;
                }
                start += 1;
            } else {
                // An empty line is no record.
                if at > record_start {
                    self.spans.push((start as u32, at as u32));
                    if !self.end_record(&mut row_end, at - record_start, record_bytes) {
                        return false;
                    }
                }
                start = at + 1;
                record_start = start;
            }
        }
        if bytes.len() > record_start {
            self.spans.push((start as u32, bytes.len() as u32));
            return self.end_record(&mut row_end, bytes.len() - record_start, record_bytes);
        }
        true
    }

    /// Add the quoted field that begins here; what follows it, which must be a delimiter, a line end or nothing.
    fn quoted(&mut self, places: &mut Places, opening: usize, marks: Marks) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let is_quote = |at: &usize| bytes[*at] == marks.quote;
        let mut closing = places.find(is_quote)?;
        let mut is_escaped = false;
        while bytes.get(closing + 1) == Some(&marks.quote) {
            is_escaped = true;
            // The second of the two, and the one after it.
            places.find(is_quote)?;
            closing = places.find(is_quote)?;
        }
        let follows = bytes.get(closing + 1);
        if follows.is_some_and(|&byte| byte != marks.delimiter && !matches!(byte, b'\n' | b'\r')) {
            return None;
        }
        if is_escaped {
            self.unescape(opening + 1, closing, marks.quote)?;
        } else {
            self.spans.push((opening as u32 + 1, closing as u32));
        }
        if follows.is_some() {
            places.next();
        }
        Some(closing + 1)
    }

    fn unescape(&mut self, start: usize, end: usize, quote: u8) -> Option<()> {
        let from = self.unescaped.len();
        let (once, twice) = (char::from(quote), [quote, quote]);
        let twice = std::str::from_utf8(&twice).ok()?;
        for (at, part) in self.text.get(start..end)?.split(twice).enumerate() {
            if at > 0 {
                self.unescaped.push(once);
            }
            self.unescaped.push_str(part);
        }
        self.spans.push((from as u32, self.unescaped.len() as u32 | UNESCAPED));
        Some(())
    }

    /// Whether the record has as many fields as it should, and is short enough.
    fn end_record(&self, row_end: &mut usize, length: usize, record_bytes: usize) -> bool {
        let is_good = self.spans.len() == *row_end && length <= record_bytes;
        *row_end += self.columns;
        is_good
    }
}

/// The places of delimiters, quotes and line ends, one after another.
struct Places<'b> {
    bytes: &'b [u8],
    marks: [u8x16; 4],
    /// Where the step begins.
    base: usize,
    /// Those of the step that were not taken yet, a bit each.
    found: u64,
}

impl<'b> Places<'b> {
    fn new(bytes: &'b [u8], marks: Marks) -> Self {
        let marks = [marks.delimiter, marks.quote, b'\n', b'\r'].map(u8x16::splat);
        let mut places = Self { bytes, marks, base: 0, found: 0 };
        places.found = places.look(0);
        places
    }

    /// Which of the bytes of a step are marks.
    #[inline]
    fn look(&self, base: usize) -> u64 {
        let mut padded = [b'0'; STEP_BYTES];
        let step = match self.bytes[base.min(self.bytes.len())..].first_chunk::<STEP_BYTES>() {
            Some(step) => step,
            None => {
                let last = &self.bytes[base.min(self.bytes.len())..];
                padded[..last.len()].copy_from_slice(last);
                &padded
            }
        };
        let mut found = 0;
        for (number, lane) in step.as_chunks::<LANES>().0.iter().enumerate() {
            let lane = u8x16::new(*lane);
            let [a, b, c, d] = self.marks.map(|mark| lane.simd_eq(mark));
            found |= u64::from((a | b | c | d).to_bitmask()) << (number * LANES);
        }
        // What was added after the end is no mark, even if a mark looks like it.
        let left = self.bytes.len().saturating_sub(base);
        if left < STEP_BYTES { found & ((1 << left) - 1) } else { found }
    }

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            self.base += STEP_BYTES;
            if self.base >= self.bytes.len() {
                return None;
            }
            self.found = self.look(self.base);
        }
        let at = self.base + self.found.trailing_zeros() as usize;
        self.found &= self.found - 1;
        Some(at)
    }

    #[inline]
    fn find(&mut self, wanted: impl Fn(&usize) -> bool) -> Option<usize> {
        std::iter::from_fn(|| self.next()).find(|at| wanted(at))
    }
}
