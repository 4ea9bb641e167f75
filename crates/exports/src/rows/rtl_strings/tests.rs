//! Counted strings in pool memory.

use super::*;
use crate::rows::scratch::Scratch;

#[test]
fn initialising_counts_the_bytes_before_the_zero() {
    let scratch = Scratch::new();
    let (string, text) = (scratch.bytes(16), scratch.wide("\\Device\\X"));
    initialize(string, text, MAX_LENGTH - 2).expect("writable");
    let string = UnicodeString::at(string);
    assert_eq!((string.length().expect("r"), string.maximum_length().expect("r")), (18, 20));
    assert_eq!(string.buffer().expect("r"), text);
    initialize(string.address(), 0, MAX_LENGTH - 2).expect("writable");
    assert_eq!((string.length().expect("r"), string.maximum_length().expect("r")), (0, 0));
}

#[test]
fn a_string_too_long_to_count_is_refused_only_by_the_checking_routine() {
    let scratch = Scratch::new();
    let string = scratch.bytes(16);
    let long = scratch.wide(&"x".repeat(0x8000));
    assert_eq!(initialize_checked(string, long).expect("readable"), abi::STATUS_NAME_TOO_LONG);
    initialize(string, long, MAX_LENGTH - 2).expect("readable");
    assert_eq!(UnicodeString::at(string).length().expect("r"), 0xFFFC);
    let fits = scratch.wide(&"x".repeat(0x7FFE));
    assert_eq!(initialize_checked(string, fits).expect("readable"), abi::STATUS_SUCCESS);
}

#[test]
fn a_copy_is_cut_to_the_maximum_and_terminated_where_there_is_room() {
    let scratch = Scratch::new();
    let source = scratch.string("abcd", 8);
    let short = scratch.string("", 4);
    copy(short, source).expect("writable");
    assert_eq!(scratch.text(short), "ab");
    let long = scratch.string("zzzzzz", 12);
    copy(long, source).expect("writable");
    assert_eq!(scratch.text(long), "abcd");
    let end = UnicodeString::at(long).buffer().expect("r") + 8;
    assert_eq!(
        (raw::read::<u16>(end).expect("r"), raw::read::<u16>(end + 2).expect("r")),
        (0, u16::from(b'z'))
    );
    copy(long, 0).expect("writable");
    assert_eq!(scratch.text(long), "");
}

#[test]
fn appending_is_all_or_nothing() {
    let scratch = Scratch::new();
    let string = scratch.string("ab", 8);
    let more = scratch.wide("cd");
    assert_eq!(append(string, more, 4).expect("writable"), abi::STATUS_SUCCESS);
    assert_eq!(scratch.text(string), "abcd");
    assert_eq!(append(string, more, 2).expect("writable"), abi::STATUS_BUFFER_TOO_SMALL);
    assert_eq!(append(string, more, 0x1_0000).expect("writable"), abi::STATUS_BUFFER_TOO_SMALL);
    assert_eq!(scratch.text(string), "abcd");
}

#[test]
fn comparison_goes_by_the_first_difference_then_by_length() {
    let wide = |text: &str| text.encode_utf16().collect::<Vec<_>>();
    assert!(compare(&wide("abc"), &wide("abd"), folding(0)) < 0);
    assert!(compare(&wide("abc"), &wide("ab"), folding(0)) > 0);
    assert!(compare(&wide("a"), &wide("B"), folding(0)) > 0);
    assert!(compare(&wide("a"), &wide("B"), folding(1)) < 0);
    assert_eq!(compare(&wide("GRÜN"), &wide("grün"), folding(1)), 0);
}

#[test]
fn the_hash_is_x65599() {
    assert_eq!(hash(&[1, 2], folding(0)), 65601);
    assert_eq!(hash(&[u16::from(b'a')], folding(1)), u32::from(b'A'));
}

#[test]
fn changing_case_needs_room_for_all_or_allocates() {
    let scratch = Scratch::new();
    let source = scratch.string("aBü", 6);
    let short = scratch.string("", 4);
    assert_eq!(change_case(short, source, None, upcase).expect("writable"), abi::STATUS_BUFFER_OVERFLOW);
    let exact = scratch.string("", 6);
    assert_eq!(change_case(exact, source, None, upcase).expect("writable"), abi::STATUS_SUCCESS);
    assert_eq!(scratch.text(exact), "ABÜ");
    let target = scratch.bytes(16);
    let allocate = |bytes: u64| Ok(scratch.bytes(usize::try_from(bytes).expect("small")));
    assert_eq!(
        change_case(target, source, Some(&allocate), downcase).expect("writable"),
        abi::STATUS_SUCCESS
    );
    assert_eq!(scratch.text(target), "abü");
    assert_eq!(change_case(target, source, Some(&|_| Ok(0)), downcase).expect("w"), abi::STATUS_NO_MEMORY);
}

#[test]
fn duplicates_follow_their_flags() {
    let scratch = Scratch::new();
    let allocate = |bytes: u64| Ok(scratch.bytes(usize::try_from(bytes).expect("small")));
    let (source, empty, target) = (scratch.string("abc", 6), scratch.string("", 2), scratch.bytes(16));
    let copy = |flags, source| duplicate(flags, source, target, &allocate).expect("writable");
    let fields = || {
        let string = UnicodeString::at(target);
        (string.length().expect("r"), string.maximum_length().expect("r"), string.buffer().expect("r") != 0)
    };
    assert_eq!(copy(0, source), abi::STATUS_SUCCESS);
    assert_eq!(fields(), (6, 6, true));
    assert_eq!(copy(NULL_TERMINATE, source), abi::STATUS_SUCCESS);
    assert_eq!(fields(), (6, 8, true));
    assert_eq!(scratch.text(target), "abc");
    assert_eq!(copy(NULL_TERMINATE, empty), abi::STATUS_SUCCESS);
    assert_eq!(fields(), (0, 0, false));
    assert_eq!(copy(NULL_TERMINATE | ALLOCATE_NULL_STRING, empty), abi::STATUS_SUCCESS);
    assert_eq!(fields(), (0, 2, true));
    assert_eq!(copy(ALLOCATE_NULL_STRING, source), abi::STATUS_INVALID_PARAMETER);
    assert_eq!(copy(8, source), abi::STATUS_INVALID_PARAMETER);
}
