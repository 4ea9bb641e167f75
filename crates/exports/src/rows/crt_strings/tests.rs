//! The C library's strings in pool memory.

use super::*;
use crate::rows::scratch::Scratch;

#[test]
fn comparison_stops_at_the_first_difference_the_zero_or_the_count() {
    let scratch = Scratch::new();
    let (a, b) = (scratch.narrow(b"abcX"), scratch.narrow(b"abcx"));
    assert_eq!(compare(Narrow, a, b, NO_LIMIT, exact).expect("r"), -1);
    assert_eq!(compare(Narrow, b, a, NO_LIMIT, exact).expect("r"), 1);
    assert_eq!(compare(Narrow, a, b, 3, exact).expect("r"), 0);
    assert_eq!(compare(Narrow, a, b, NO_LIMIT, lower).expect("r"), 0);
    // The underscore lies between the cases: small letters count.
    let (c, d) = (scratch.narrow(b"_"), scratch.narrow(b"A"));
    assert_eq!(compare(Narrow, c, d, NO_LIMIT, lower).expect("r"), -1);
    let high = scratch.narrow(b"\xFF");
    assert_eq!(compare(Narrow, high, d, NO_LIMIT, exact).expect("r"), 1, "bytes are unsigned");
    let (e, f) = (scratch.wide("äB"), scratch.wide("Äb"));
    assert_eq!(compare(Wide, e, f, NO_LIMIT, lower).expect("r"), 1, "only ASCII has case");
}

#[test]
fn strncpy_fills_with_zeros_and_adds_none() {
    let scratch = Scratch::new();
    let target = scratch.narrow(b"zzzzzz");
    copy_counted(Narrow, target, scratch.narrow(b"ab"), 4).expect("w");
    assert_eq!(scratch.read(target, 6), b"ab\0\0zz");
    copy_counted(Narrow, target, scratch.narrow(b"abcdef"), 3).expect("w");
    assert_eq!(scratch.read(target, 6), b"abc\0zz");
}

#[test]
fn appending_ends_with_a_zero() {
    let scratch = Scratch::new();
    let target = scratch.narrow(b"ab\0zzzz");
    append_counted(Narrow, target, scratch.narrow(b"cdef"), 2).expect("w");
    assert_eq!(scratch.read(target, 7), b"abcd\0zz");
    append_counted(Narrow, target, scratch.narrow(b"e"), NO_LIMIT).expect("w");
    assert_eq!(scratch.read(target, 7), b"abcde\0z");
}

#[test]
fn secure_copies_fit_with_their_zero_or_leave_nothing() {
    let scratch = Scratch::new();
    let source = scratch.narrow(b"abcd");
    let run = |size, count| {
        let target = scratch.narrow(b"zzzzzz");
        let result = copy_secure(Narrow, target, size, 0, source, count).expect("w");
        (result, String::from_utf8(scratch.read(target, 6)).expect("ASCII").replace('\0', "0"))
    };
    assert_eq!(run(5, NO_LIMIT - 1), (0, "abcd0z".into()));
    assert_eq!(run(4, NO_LIMIT - 1), (ERANGE, "0zzzzz".into()));
    assert_eq!(run(4, 3), (0, "abc0zz".into()));
    assert_eq!(run(4, TRUNCATE), (STRUNCATE, "abc0zz".into()));
    assert_eq!(run(6, TRUNCATE), (0, "abcd0z".into()));
    assert_eq!(run(0, TRUNCATE), (EINVAL, "zzzzzz".into()));
    let target = scratch.narrow(b"zzzzzz");
    assert_eq!(copy_secure(Narrow, target, 6, 0, 0, 1).expect("w"), EINVAL);
    assert_eq!(scratch.read(target, 2), b"\0z");
}

#[test]
fn secure_appending_needs_a_string_to_append_to() {
    let scratch = Scratch::new();
    let target = scratch.wide("ab");
    let source = scratch.wide("c");
    assert_eq!(append_secure(Wide, target, 3, source, NO_LIMIT - 1).expect("w"), ERANGE);
    let target = scratch.wide("ab\0z");
    assert_eq!(append_secure(Wide, target, 4, source, NO_LIMIT - 1).expect("w"), 0);
    assert_eq!(length_of(Wide, target, NO_LIMIT).expect("r"), 3);
    let unterminated = scratch.wide("abcd");
    assert_eq!(append_secure(Wide, unterminated, 4, source, NO_LIMIT - 1).expect("w"), EINVAL);
    assert_eq!(length_of(Wide, unterminated, NO_LIMIT).expect("r"), 0);
}

#[test]
fn searches_return_where_it_stands_or_null() {
    let scratch = Scratch::new();
    let text = scratch.narrow(b"a\\b\\aab");
    assert_eq!(find(Narrow, text, b'\\'.into()).expect("r"), text + 1);
    assert_eq!(find_last(Narrow, text, b'\\'.into()).expect("r"), text + 3);
    assert_eq!(find(Narrow, text, 0).expect("r"), text + 7, "the zero is part of the string");
    assert_eq!(find_last(Narrow, text, 0).expect("r"), text + 7);
    assert_eq!(find(Narrow, text, b'x'.into()).expect("r"), 0);
    assert_eq!(find_string(Narrow, text, scratch.narrow(b"ab")).expect("r"), text + 5);
    assert_eq!(find_string(Narrow, text, scratch.narrow(b"")).expect("r"), text);
    assert_eq!(find_string(Narrow, text, scratch.narrow(b"abc")).expect("r"), 0);
    let wide = scratch.wide("\\Device\\X");
    assert_eq!(find_string(Wide, wide, scratch.wide("e\\")).expect("r"), wide + 12);
}

#[test]
fn changing_case_changes_ascii_letters_only() {
    let scratch = Scratch::new();
    let text = scratch.narrow(b"aZ_\xE4");
    change(Narrow, text, upper).expect("w");
    assert_eq!(scratch.read(text, 4), b"AZ_\xE4");
    change(Narrow, text, lower).expect("w");
    assert_eq!(scratch.read(text, 4), b"az_\xE4");
}
