//! The rules of Microsoft's format specification, by example.

use super::*;

/// Formats with the words as a `va_list`.
fn narrow(format: &str, words: &[u64]) -> String {
    let format = format!("{format}\0");
    let mut arguments = Arguments::list(words.as_ptr() as u64);
    let out = super::format(Text::Narrow, format.as_ptr() as u64, &mut arguments, LIMIT).expect("readable");
    assert!(!out.refused && !out.overflowed, "{out:?}");
    code_page::to_text(&out.bytes().collect::<Vec<_>>())
}

fn wide(format: &str, words: &[u64]) -> String {
    let format: Vec<u16> = format.encode_utf16().chain([0]).collect();
    let mut arguments = Arguments::list(words.as_ptr() as u64);
    let out = super::format(Text::Wide, format.as_ptr() as u64, &mut arguments, LIMIT).expect("readable");
    assert!(!out.refused && !out.overflowed, "{out:?}");
    String::from_utf16(&out.units).expect("UTF-16")
}

fn utf16(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// A counted string: lengths in the low halves, then the buffer.
fn counted(length: usize, buffer: u64) -> [u64; 2] {
    [(length as u64) << 16 | length as u64, buffer]
}

#[test]
fn integers_take_flags_width_and_precision() {
    let minus = (-42_i32).cast_unsigned().into();
    for (format, word, text) in [
        ("%d", minus, "-42"),
        ("%i", 42, "42"),
        ("%+d", 42, "+42"),
        ("% d", 42, " 42"),
        ("%+ d", 42, "+42"),
        ("%5d|", 42, "   42|"),
        ("%-5d|", 42, "42   |"),
        ("%05d", minus, "-0042"),
        ("%-05d|", 42, "42   |"),
        ("%.4d", 42, "0042"),
        ("%06.4d", 42, "  0042"),
        ("%.0d|", 0, "|"),
        ("%u", minus, "4294967254"),
        ("%o", 8, "10"),
        ("%#o", 8, "010"),
        ("%x", 0xABCD, "abcd"),
        ("%X", 0xABCD, "ABCD"),
        ("%#x", 0xABCD, "0xabcd"),
        ("%#X", 0xABCD, "0XABCD"),
        ("%#x", 0, "0"),
        ("%08x", 0xABCD, "0000abcd"),
        ("%#010x", 0xABCD, "0x0000abcd"),
    ] {
        assert_eq!(narrow(format, &[word]), text, "{format}");
    }
}

#[test]
fn the_size_says_how_much_of_the_slot_counts() {
    let word = 0x1122_3344_5566_7788;
    for (format, text) in [
        ("%x", "55667788"),
        ("%lx", "55667788"),
        ("%I32x", "55667788"),
        ("%hx", "7788"),
        ("%hhx", "88"),
        ("%hhd", "-120"),
        ("%llx", "1122334455667788"),
        ("%I64x", "1122334455667788"),
        ("%Ix", "1122334455667788"),
        ("%zx", "1122334455667788"),
        ("%I64d", "1234605616436508552"),
    ] {
        assert_eq!(narrow(format, &[word]), text, "{format}");
    }
    assert_eq!(narrow("%lld", &[u64::MAX]), "-1");
}

#[test]
fn a_pointer_is_sixteen_capital_digits() {
    assert_eq!(narrow("%p", &[0xFFFF_8000_0000_ABCD]), "FFFF80000000ABCD");
    assert_eq!(narrow("%p", &[0x1F]), "000000000000001F");
}

#[test]
fn width_and_precision_can_be_arguments() {
    assert_eq!(narrow("%*d|", &[4, 7]), "   7|");
    assert_eq!(narrow("%*d|", &[u64::from((-4_i32).cast_unsigned()), 7]), "7   |");
    assert_eq!(narrow("%.*d", &[3, 7]), "007");
    assert_eq!(narrow("%.*d", &[u64::from(u32::MAX), 7]), "7", "a negative precision counts as none");
}

#[test]
fn strings_stop_at_their_zero_or_the_precision() {
    let text = b"driver\0";
    let address = text.as_ptr() as u64;
    assert_eq!(narrow("<%s>", &[address]), "<driver>");
    assert_eq!(narrow("<%.3s>", &[address]), "<dri>");
    assert_eq!(narrow("<%8s>", &[address]), "<  driver>");
    assert_eq!(narrow("<%-8.2s>", &[address]), "<dr      >");
    let unterminated = *b"ab";
    assert_eq!(narrow("%.2s", &[unterminated.as_ptr() as u64]), "ab");
}

#[test]
fn null_prints_itself() {
    assert_eq!(narrow("%s %ws %wZ %Z", &[0; 4]), "(null) (null) (null) (null)");
    assert_eq!(wide("%s", &[0]), "(null)");
    let empty = counted(0, 0);
    assert_eq!(narrow("%wZ", &[empty.as_ptr() as u64]), "(null)");
}

#[test]
fn s_is_of_the_formats_own_kind_and_capital_s_of_the_other() {
    let bytes = c"grun".as_ptr() as u64;
    let units = utf16("grün");
    let units = units.as_ptr() as u64;
    assert_eq!(narrow("%s %S %hs %ls %ws", &[bytes, units, bytes, units, units]), "grun grün grun grün grün");
    assert_eq!(wide("%s %S %hs %ls %ws", &[units, bytes, bytes, units, units]), "grün grun grun grün grün");
}

#[test]
fn characters_are_of_either_kind() {
    assert_eq!(narrow("%c%C%lc%hc", &[0x41, 0x20AC, 0x42, 0x43]).as_bytes()[0], b'A');
    assert_eq!(wide("%c%C%3c", &[0x20AC, 0x80, 0x41]), "€€  A");
}

#[test]
fn counted_strings_need_no_zero() {
    let units = utf16("\\Device\\XYZ");
    let string = counted(14, units.as_ptr() as u64);
    assert_eq!(narrow("%wZ!", &[string.as_ptr() as u64]), "\\Device!");
    assert_eq!(wide("%10wZ!", &[string.as_ptr() as u64]), "   \\Device!");
    let bytes = b"ansi string";
    let string = counted(4, bytes.as_ptr() as u64);
    assert_eq!(narrow("%Z|%hZ", &[string.as_ptr() as u64; 2]), "ansi|ansi");
}

#[test]
fn doubles_come_as_their_bits() {
    for (format, value, text) in [
        ("%f", 3.5, "3.500000"),
        ("%.2f", -1.005, "-1.00"),
        ("%.0f", 2.5, "2"),
        ("%#.0f", 2.0, "2."),
        ("%8.3f", 1.5, "   1.500"),
        ("%08.2f", -1.5, "-0001.50"),
        ("%e", 12345.678, "1.234568e+04"),
        ("%.2E", 0.00012, "1.20E-04"),
        ("%g", 0.0001, "0.0001"),
        ("%g", 0.00001, "1e-05"),
        ("%g", 1_000_000.0, "1e+06"),
        ("%g", 123_456.0, "123456"),
        ("%#g", 1.0, "1.00000"),
        ("%f", f64::INFINITY, "inf"),
        ("%05f", f64::NEG_INFINITY, " -inf"),
    ] {
        assert_eq!(narrow(format, &[value.to_bits()]), text, "{format}");
    }
}

#[test]
fn percent_and_letters_without_meaning_stand_for_themselves() {
    assert_eq!(narrow("100%% %y %d", &[1]), "100% y 1");
    assert_eq!(narrow("cut off %", &[]), "cut off ");
}

#[test]
fn n_is_refused_and_writes_nothing() {
    let mut target = 7_u32;
    let words = [(&raw mut target).addr() as u64];
    let mut arguments = Arguments::list(words.as_ptr() as u64);
    let format = b"abc%nxyz\0";
    let out = super::format(Text::Narrow, format.as_ptr() as u64, &mut arguments, LIMIT).expect("readable");
    assert!(out.refused);
    assert!(out.bytes().eq(*b"abc"));
    assert_eq!(target, 7);
}

#[test]
fn the_limit_ends_the_text_whatever_the_width() {
    let words = [u64::from(i32::MAX.cast_unsigned()), 1];
    let mut arguments = Arguments::list(words.as_ptr() as u64);
    let out = super::format(Text::Narrow, c"%*d".as_ptr() as u64, &mut arguments, 100).expect("readable");
    assert!(out.overflowed);
    assert_eq!(out.units.len(), 100);
    let out = super::format(Text::Narrow, c"abc".as_ptr() as u64, &mut arguments, 3).expect("readable");
    assert!(!out.overflowed, "what fits exactly is not cut");
}

#[test]
fn an_unreadable_argument_is_an_access_violation() {
    platform::fault::install().expect("handlers");
    let words = [8_u64];
    let mut arguments = Arguments::list(words.as_ptr() as u64);
    let result = super::format(Text::Narrow, c"%s".as_ptr() as u64, &mut arguments, LIMIT);
    let Err(kernel::Unwind::Raise(raise)) = result else { panic!("nothing is mapped at 8: {result:?}") };
    assert_eq!(raise.record.ExceptionCode, abi::STATUS_ACCESS_VIOLATION);
    assert_eq!(raise.record.ExceptionInformation[..2], [0, 8]);
}
