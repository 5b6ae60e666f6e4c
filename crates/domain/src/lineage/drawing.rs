//! Flows as a picture: datasets in columns from source to target, in SVG.
//!
//! Invariant: every name in the picture is text, never markup.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{Dataset, Flow};

const BOX_WIDTH: usize = 260;
const BOX_HEIGHT: usize = 36;
const COLUMN_GAP: usize = 120;
const ROW_GAP: usize = 24;
const MARGIN: usize = 24;
/// How many letters of a name fit into a box.
const MAX_LETTERS: usize = 34;
/// How often the rows of the columns are put into the order of their neighbours.
const SWEEPS: usize = 4;

type Edges = BTreeMap<(usize, usize), BTreeSet<String>>;

/// The picture of these flows.
pub fn svg(flows: &[Flow]) -> String {
    let datasets: BTreeSet<&Dataset> = flows.iter().flat_map(|flow| [&flow.source, &flow.target]).collect();
    let datasets: Vec<&Dataset> = datasets.into_iter().collect();
    let numbers: BTreeMap<&Dataset, usize> = datasets.iter().enumerate().map(|(at, dataset)| (*dataset, at)).collect();
    let mut edges = Edges::new();
    for flow in flows {
        let edge = (numbers[&flow.source], numbers[&flow.target]);
        edges.entry(edge).or_default().insert(flow.transformation.clone());
    }
    let rows = arranged(&columns(datasets.len(), &edges), &edges);
    draw(&datasets, &rows, &edges)
}

/// The column of every dataset: behind all that it comes from, as far as there is no cycle.
fn columns(count: usize, edges: &Edges) -> Vec<usize> {
    let mut columns = vec![0; count];
    // Along a way without a cycle there are fewer steps than datasets; on a cycle the columns would grow for ever.
    for _ in 1..count {
        let mut is_settled = true;
        for (from, to) in edges.keys().filter(|(from, to)| from != to) {
            if columns[*to] <= columns[*from] && columns[*from] + 1 < count {
                columns[*to] = columns[*from] + 1;
                is_settled = false;
            }
        }
        if is_settled {
            break;
        }
    }
    without_gaps(&columns)
}

fn without_gaps(columns: &[usize]) -> Vec<usize> {
    let used: BTreeSet<usize> = columns.iter().copied().collect();
    columns.iter().map(|column| used.range(..column).count()).collect()
}

/// The datasets of every column, from top to bottom, near to their neighbours.
fn arranged(columns: &[usize], edges: &Edges) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); columns.iter().max().map_or(0, |last| last + 1)];
    columns.iter().enumerate().for_each(|(dataset, column)| rows[*column].push(dataset));
    for _ in 0..SWEEPS {
        let mut heights = vec![0; columns.len()];
        rows.iter().flat_map(|row| row.iter().enumerate()).for_each(|(at, dataset)| heights[*dataset] = at);
        let mut pulls: Vec<(usize, usize)> = vec![(0, 0); columns.len()];
        for (from, to) in edges.keys() {
            for (one, other) in [(*from, *to), (*to, *from)] {
                pulls[one] = (pulls[one].0 + heights[other], pulls[one].1 + 1);
            }
        }
        let mean = |dataset: &usize| pulls[*dataset].0 * 1_000 / pulls[*dataset].1.max(1);
        rows.iter_mut().for_each(|row| row.sort_by_key(mean));
    }
    rows
}

fn draw(datasets: &[&Dataset], rows: &[Vec<usize>], edges: &Edges) -> String {
    let mut places = vec![(0, 0); datasets.len()];
    for (column, row) in rows.iter().enumerate() {
        for (at, dataset) in row.iter().enumerate() {
            let (x, y) = (column * (BOX_WIDTH + COLUMN_GAP), at * (BOX_HEIGHT + ROW_GAP));
            places[*dataset] = (MARGIN + x, MARGIN + y);
        }
    }
    let width = 2 * MARGIN + (rows.len() * (BOX_WIDTH + COLUMN_GAP)).saturating_sub(COLUMN_GAP);
    let tallest = rows.iter().map(Vec::len).max().unwrap_or_default();
    let height = 2 * MARGIN + (tallest * (BOX_HEIGHT + ROW_GAP)).saturating_sub(ROW_GAP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <defs><marker id=\"end\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
         orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#567\"/></marker></defs>\n"
    );
    for ((from, to), names) in edges {
        draw_edge(&mut text, places[*from], places[*to], names);
    }
    for (dataset, place) in datasets.iter().zip(&places) {
        draw_box(&mut text, dataset, *place);
    }
    text.push_str("</svg>\n");
    text
}

fn draw_edge(text: &mut String, from: (usize, usize), to: (usize, usize), names: &BTreeSet<String>) {
    let (x1, y1) = (from.0 + BOX_WIDTH, from.1 + BOX_HEIGHT / 2);
    let (x2, y2) = (to.0, to.1 + BOX_HEIGHT / 2);
    let (bend1, bend2) = (x1 + COLUMN_GAP / 2, x2.saturating_sub(COLUMN_GAP / 2));
    let title = escaped(&names.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    let _ = writeln!(
        text,
        "<path d=\"M{x1} {y1}C{bend1} {y1} {bend2} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#567\" \
         marker-end=\"url(#end)\"><title>{title}</title></path>"
    );
}

fn draw_box(text: &mut String, dataset: &Dataset, (x, y): (usize, usize)) {
    let name = dataset.to_string();
    let is_long = name.chars().count() > MAX_LETTERS;
    let shown: String = name.chars().take(if is_long { MAX_LETTERS - 1 } else { MAX_LETTERS }).collect();
    let (shown, more) = (escaped(&shown), if is_long { "…" } else { "" });
    let fill = if dataset.table().is_some() { "#e3f0fb" } else { "#f3f3f3" };
    let (middle, base) = (x + BOX_WIDTH / 2, y + BOX_HEIGHT / 2 + 4);
    let _ = writeln!(
        text,
        "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"6\" \
         fill=\"{fill}\" stroke=\"#567\"/><text x=\"{middle}\" y=\"{base}\" text-anchor=\"middle\">{shown}{more}</text></g>",
        escaped(&name)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{super::notation::tests::flow, *};

    fn boxes(picture: &str) -> Vec<(usize, &str)> {
        let found = picture.lines().filter(|line| line.starts_with("<g>")).map(|line| {
            let x = line.split("x=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
            (x, line.split("<title>").nth(1).unwrap().split("</title>").next().unwrap())
        });
        found.collect()
    }

    #[test]
    fn datasets_stand_behind_what_they_come_from() {
        let picture = svg(&[flow("a", "b", "t"), flow("b", "c", "t"), flow("a", "c", "u"), flow("c", "c", "again")]);
        let (first, second) = (MARGIN, MARGIN + BOX_WIDTH + COLUMN_GAP);
        let third = second + BOX_WIDTH + COLUMN_GAP;
        assert_eq!(boxes(&picture), [(first, "a"), (second, "b"), (third, "c")]);
        assert_eq!(picture.matches("<path d=\"M").count(), 5, "four edges and the tip of an arrow: {picture}");
    }

    #[test]
    fn a_cycle_and_nothing_at_all_can_be_drawn() {
        assert_eq!(boxes(&svg(&[flow("a", "b", "t"), flow("b", "c", "t"), flow("c", "a", "t")])).len(), 3);
        assert!(svg(&[]).contains("<svg"));
    }

    #[test]
    fn names_are_never_markup() {
        let picture = svg(&[flow("<script>alert(1)</script>", "\"&", "</title><script>")]);
        assert!(!picture.contains("<script"), "{picture}");
        assert!(picture.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{picture}");
    }

    #[test]
    fn a_long_name_is_cut_to_its_box_and_whole_in_its_title() {
        let long = "ü".repeat(100);
        let picture = svg(&[flow(&long, "b", "t")]);
        assert!(picture.contains(&format!(">{}…<", "ü".repeat(MAX_LETTERS - 1))), "{picture}");
        assert!(picture.contains(&format!("<title>{long}</title>")), "{picture}");
    }
}
