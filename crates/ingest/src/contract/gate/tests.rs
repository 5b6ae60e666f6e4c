use super::*;

#[test]
fn rows_are_numbered_with_the_records_between_them() {
    let mut numbers = Numbers::default();
    numbers.skip(1);
    numbers.skip(3);
    numbers.skip(4);
    assert_eq!(numbers.take(3), [2, 5, 6]);
    numbers.skip(7);
    numbers.skip(9);
    assert_eq!(numbers.take(2), [8, 10]);
    assert!(numbers.skipped.is_empty());
}
