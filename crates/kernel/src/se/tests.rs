//! What the documentation says of access checks, new descriptors and the language, as tables.

use abi::NTSTATUS;
use proptest::prelude::*;

use super::*;
use crate::se::well_known as known;

const MAPPING: [u32; 4] =
    [abi::FILE_GENERIC_READ, abi::FILE_GENERIC_WRITE, abi::FILE_GENERIC_EXECUTE, abi::FILE_ALL_ACCESS];
const READ: u32 = abi::FILE_READ_DATA;
const WRITE: u32 = abi::FILE_WRITE_DATA;
const DENIED: Result<u32, NTSTATUS> = Err(abi::STATUS_ACCESS_DENIED);

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

fn descriptor(text: &str) -> SecurityDescriptor {
    parse_sddl(&wide(text)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn check(text: &str, token: &Token, desired: u32) -> Result<u32, NTSTATUS> {
    let request = AccessRequest { desired, previously_granted: 0, mapping: MAPPING, user_mode: true };
    access_check(Some(&descriptor(text)), token, &request).map(|granted| granted.access)
}

#[test]
fn the_lists_entries_are_read_in_their_order() {
    let user = Token::user();
    let table = [
        // No DACL and a NULL DACL allow everything, an empty one nothing.
        ("", abi::FILE_ALL_ACCESS, Ok(abi::FILE_ALL_ACCESS)),
        ("D:NO_ACCESS_CONTROL", READ, Ok(READ)),
        ("D:NO_ACCESS_CONTROL", 0x1F_FFFF, Ok(0x1F_FFFF)),
        ("D:NO_ACCESS_CONTROL", abi::MAXIMUM_ALLOWED, Ok(abi::FILE_ALL_ACCESS)),
        ("D:", READ, DENIED),
        ("D:", abi::MAXIMUM_ALLOWED, DENIED),
        // One entry, several, none that concerns the caller.
        ("D:(A;;0x1;;;WD)", READ, Ok(READ)),
        ("D:(A;;0x1;;;WD)", READ | WRITE, DENIED),
        ("D:(A;;0x1;;;WD)(A;;0x2;;;BU)", READ | WRITE, Ok(READ | WRITE)),
        ("D:(A;;0x1;;;BA)(A;;0x1;;;SY)", READ, DENIED),
        // A denial counts for what no earlier entry has allowed, and only for what is asked for.
        ("D:(D;;0x1;;;WD)(A;;0x3;;;WD)", READ, DENIED),
        ("D:(D;;0x1;;;WD)(A;;0x3;;;WD)", WRITE, Ok(WRITE)),
        ("D:(A;;0x1;;;WD)(D;;0x1;;;WD)", READ, Ok(READ)),
        ("D:(A;;0x1;;;WD)(D;;0x3;;;WD)(A;;0x2;;;WD)", READ | WRITE, DENIED),
        ("D:(D;;0x1;;;BA)(A;;0x1;;;WD)", READ, Ok(READ)),
        // MAXIMUM_ALLOWED: all that the list gives; what else is named must be there.
        ("D:(A;;0x1;;;WD)(D;;0x3;;;WD)(A;;0x6;;;WD)", abi::MAXIMUM_ALLOWED, Ok(0x5)),
        ("D:(A;;0x1;;;WD)", abi::MAXIMUM_ALLOWED | WRITE, DENIED),
        ("D:(A;;0x3;;;WD)", abi::MAXIMUM_ALLOWED | WRITE, Ok(READ | WRITE)),
        // Entries that only children inherit do not count.
        ("D:(A;OIIO;0x1;;;WD)", READ, DENIED),
        ("D:(D;CIIO;0x1;;;WD)(A;;0x1;;;WD)", READ, Ok(READ)),
        // Generic rights that are asked for become the type's.
        ("D:(A;;FR;;;WD)", abi::GENERIC_READ, Ok(abi::FILE_GENERIC_READ)),
        ("D:(A;;FR;;;WD)", abi::GENERIC_WRITE, DENIED),
        ("D:(A;;FA;;;WD)", abi::GENERIC_ALL, Ok(abi::FILE_ALL_ACCESS)),
        // No access at all.
        ("D:(A;;FA;;;WD)", 0, DENIED),
    ];
    for (text, desired, expected) in table {
        assert_eq!(check(text, &user, desired), expected, "{text} {desired:#x}");
    }
}

#[test]
fn an_owner_may_read_and_change_the_list_whatever_it_says() {
    let user = Token::user();
    let own = format!("O:{}D:", user.user);
    let both = abi::READ_CONTROL | abi::WRITE_DAC;
    assert_eq!(check(&own, &user, both), Ok(both));
    assert_eq!(check(&own, &user, abi::MAXIMUM_ALLOWED), Ok(both));
    assert_eq!(check(&own, &user, abi::WRITE_OWNER), DENIED);
    assert_eq!(check(&own, &Token::administrator(), both), DENIED);
    assert_eq!(check(&format!("{own}(D;;RCWD;;;WD)"), &user, both), Ok(both));
    // An entry for OWNER RIGHTS says what an owner may do instead.
    assert_eq!(check(&format!("{own}(A;;RC;;;OW)"), &user, both), DENIED);
    assert_eq!(check(&format!("{own}(A;;0x1;;;OW)"), &user, READ), Ok(READ));
    assert_eq!(check("O:BAD:(A;;0x1;;;OW)", &user, READ), DENIED);
}

#[test]
fn a_conditional_entry_that_denies_counts_as_met() {
    let user = Token::user();
    let check = |kind: u8| {
        let mut body = READ.to_le_bytes().to_vec();
        body.extend(known::WORLD.to_bytes());
        body.extend(b"artx");
        let conditional = Ace { kind, flags: 0, body: AceBody::Opaque(body) };
        let list = Acl::new(vec![conditional, Ace::allow(READ | WRITE, known::WORLD)]);
        let descriptor = SecurityDescriptor::new(known::LOCAL_SYSTEM, known::LOCAL_SYSTEM, list);
        let request =
            AccessRequest { desired: READ, previously_granted: 0, mapping: MAPPING, user_mode: true };
        access_check(Some(&descriptor), &user, &request).map(|granted| granted.access)
    };
    assert_eq!(check(abi::ACCESS_DENIED_CALLBACK_ACE_TYPE), DENIED);
    // Others of those kinds are passed over.
    assert_eq!(check(abi::ACCESS_DENIED_CALLBACK_ACE_TYPE - 1), Ok(READ));
}

#[test]
fn privileges_give_what_no_list_can() {
    let administrator = Token::administrator();
    let asked = abi::ACCESS_SYSTEM_SECURITY;
    let everything = "D:(A;;0x11f01ff;;;WD)";
    assert_eq!(check(everything, &administrator, asked), Err(abi::STATUS_PRIVILEGE_NOT_HELD));
    let security = administrator.clone().with_privilege(abi::SE_SECURITY_PRIVILEGE);
    assert_eq!(check("D:", &security, asked), Ok(asked));
    assert_eq!(check("D:", &administrator, abi::WRITE_OWNER), DENIED);
    let owner = administrator.with_privilege(abi::SE_TAKE_OWNERSHIP_PRIVILEGE);
    assert_eq!(check("D:", &owner, abi::WRITE_OWNER), Ok(abi::WRITE_OWNER));
    // MAXIMUM_ALLOWED does not ask for the SACL.
    assert_eq!(check(everything, &security, abi::MAXIMUM_ALLOWED), Ok(abi::FILE_ALL_ACCESS));
}

#[test]
fn groups_for_denial_only_and_restricting_sids_narrow_a_token() {
    let filtered = Token::administrator().deny_only(known::ADMINISTRATORS);
    assert_eq!(check("D:(A;;0x1;;;BA)", &filtered, READ), DENIED);
    assert_eq!(check("D:(D;;0x1;;;BA)(A;;0x1;;;WD)", &filtered, READ), DENIED);
    assert!(!filtered.is_administrator() && Token::administrator().is_administrator());
    let restricted = Token::user().restricted_to(&[known::RESTRICTED]);
    assert_eq!(check("D:(A;;0x1;;;WD)", &restricted, READ), DENIED);
    assert_eq!(check("D:(A;;0x1;;;RC)", &restricted, READ), DENIED);
    assert_eq!(check("D:(A;;0x3;;;WD)(A;;0x1;;;RC)", &restricted, READ), Ok(READ));
    assert_eq!(check("D:(A;;0x3;;;WD)(A;;0x1;;;RC)", &restricted, abi::MAXIMUM_ALLOWED), Ok(READ));
}

#[test]
fn an_owner_with_a_restricted_token_has_an_owners_rights_where_a_restricting_sid_is_the_owner() {
    let user = Token::user();
    let own = format!("O:{}D:(A;;0x1;;;OW)", user.user);
    let (without, with) =
        (user.clone().restricted_to(&[known::RESTRICTED]), user.clone().restricted_to(&[user.user]));
    assert_eq!(check(&own, &without, READ), DENIED);
    assert_eq!(check(&own, &with, READ), Ok(READ));
    let implied = format!("O:{}D:", user.user);
    assert_eq!(check(&implied, &without, abi::READ_CONTROL), DENIED);
    assert_eq!(check(&implied, &with, abi::READ_CONTROL), Ok(abi::READ_CONTROL));
}

#[test]
fn everyone_does_not_include_the_anonymous_user() {
    assert_eq!(check("D:(A;;0x1;;;WD)", &Token::anonymous(), READ), DENIED);
    assert_eq!(check("D:(A;;0x1;;;AN)", &Token::anonymous(), READ), Ok(READ));
}

#[test]
fn kernel_mode_callers_get_what_they_ask_for() {
    let ask = |desired| {
        let request = AccessRequest { desired, previously_granted: 0, mapping: MAPPING, user_mode: false };
        access_check(Some(&descriptor("D:")), &Token::anonymous(), &request).map(|granted| granted.access)
    };
    assert_eq!(ask(READ), Ok(READ));
    assert_eq!(ask(abi::MAXIMUM_ALLOWED), Ok(abi::FILE_ALL_ACCESS));
}

#[test]
fn what_was_granted_before_is_not_asked_for_again() {
    let request =
        AccessRequest { desired: READ | WRITE, previously_granted: WRITE, mapping: MAPPING, user_mode: true };
    let granted = access_check(Some(&descriptor("D:(A;;0x1;;;WD)")), &Token::user(), &request);
    assert_eq!(granted.map(|granted| granted.access), Ok(READ | WRITE));
}

#[test]
fn a_device_without_a_descriptor_of_its_own_is_open_to_everyone_for_reading_and_writing() {
    let security = device_descriptor();
    let ask = |token: &Token, desired| {
        let request = AccessRequest { desired, previously_granted: 0, mapping: MAPPING, user_mode: true };
        access_check(Some(&security), token, &request).is_ok()
    };
    assert!(ask(&Token::user(), abi::GENERIC_READ | abi::GENERIC_WRITE | abi::GENERIC_EXECUTE));
    assert!(!ask(&Token::user(), abi::WRITE_DAC));
    assert!(ask(&Token::administrator(), abi::GENERIC_ALL) && ask(&Token::local_system(), abi::GENERIC_ALL));
}

#[test]
fn a_new_object_takes_what_is_explicit_then_what_it_inherits_then_the_tokens_default() {
    let token = Token::user();
    let list = |descriptor: Result<SecurityDescriptor, NTSTATUS>| {
        let descriptor = descriptor.expect("assigned");
        print_sddl(&SecurityDescriptor { owner: None, group: None, ..descriptor }).expect("plain entries")
    };
    let parent = descriptor("D:(A;OICI;GR;;;WD)(A;CI;GA;;;CO)(A;;GA;;;SY)");
    let explicit = descriptor("D:P(A;;GA;;;BA)");
    let assign = |parent: Option<&_>, explicit: Option<&_>, container| {
        assign(parent, explicit, container, &token, &MAPPING)
    };
    assert_eq!(list(assign(Some(&parent), Some(&explicit), false)), "D:P(A;;FA;;;BA)");
    assert_eq!(list(assign(Some(&parent), None, false)), "D:(A;;FR;;;WD)");
    let user = token.user;
    let inherited = format!("D:(A;;FR;;;WD)(A;CIOIIO;GR;;;WD)(A;;FA;;;{user})(A;CIIO;GA;;;CO)");
    assert_eq!(list(assign(Some(&parent), None, true)), inherited);
    assert_eq!(list(assign(None, None, false)), format!("D:(A;;FA;;;{user})(A;;FA;;;SY)"));
    let owned = assign(None, None, false).expect("assigned");
    assert_eq!((owned.owner, owned.group), (Some(token.owner), Some(token.primary_group)));
    let foreign = descriptor("O:SYD:");
    assert_eq!(assign(None, Some(&foreign), false), Err(abi::STATUS_INVALID_OWNER));
    assert_eq!(
        assign(None, Some(&descriptor("S:(AU;SA;GR;;;WD)")), false),
        Err(abi::STATUS_PRIVILEGE_NOT_HELD)
    );
}

#[test]
fn the_device_strings_of_the_documentation_mean_what_it_says() {
    let all = descriptor("D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GR;;;WD)(A;;GR;;;RC)");
    assert_eq!(all.control, abi::SE_DACL_PRESENT | abi::SE_DACL_PROTECTED);
    let rwx = abi::GENERIC_READ | abi::GENERIC_WRITE | abi::GENERIC_EXECUTE;
    let expected = [
        Ace::allow(abi::GENERIC_ALL, known::LOCAL_SYSTEM),
        Ace::allow(rwx, known::ADMINISTRATORS),
        Ace::allow(abi::GENERIC_READ, known::WORLD),
        Ace::allow(abi::GENERIC_READ, known::RESTRICTED),
    ];
    assert_eq!(all.dacl.expect("a list").aces, expected);
    assert_eq!(descriptor("D:P").dacl, Some(Acl::default()), "nobody: SDDL_DEVOBJ_KERNEL_ONLY");
    let null = descriptor("D:PAINO_ACCESS_CONTROL");
    let flags = abi::SE_DACL_PROTECTED | abi::SE_DACL_AUTO_INHERITED;
    assert_eq!((null.control, null.dacl), (abi::SE_DACL_PRESENT | flags, None));
    let owned = descriptor("O:BAG:S-1-5-18D:(D;CIOI;0x1f;;;S-1-5-32-545)S:(ML;;NW;;;LW)");
    assert_eq!((owned.owner, owned.group), (Some(known::ADMINISTRATORS), Some(known::LOCAL_SYSTEM)));
    let sacl = owned.sacl.expect("a list");
    assert_eq!(sacl.aces[0].body, AceBody::Rights { mask: 1, sid: known::mandatory(0x1000) });
}

#[test]
fn texts_that_are_no_descriptors_are_refused_where_they_go_wrong() {
    let table = [
        ("X", 0),
        ("D", 1),
        ("D:P(A;;GA;;;SY", 14),
        ("D:P(A;;GA;;;QQ)", 12),
        ("D:P(Q;;GA;;;SY)", 4),
        ("D:P(A;GA;;;SY)", 6),
        ("D:P(A;;ZZ;;;SY)", 7),
        ("D:(A;;GA;;;SY)D:", 14),
        ("D:P (A;;GA;;;SY)", 3),
        ("O:S-1-5-4294967296", 18),
    ];
    for (text, at) in table {
        let error = parse_sddl(&wide(text)).expect_err(text);
        assert_eq!(error.at, at, "{text}: {error}");
    }
}

#[test]
fn sids_are_laid_out_and_written_as_documented() {
    assert_eq!(known::ADMINISTRATORS.to_bytes(), [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0]);
    assert_eq!(known::ADMINISTRATORS.to_string(), "S-1-5-32-544");
    assert_eq!(Sid::new(0x0100_0000_0000, [7]).to_string(), "S-1-0x010000000000-7");
    assert_eq!(Sid::from_bytes(&[1, 16, 0, 0, 0, 0, 0, 5]), None, "at most 15 sub-authorities");
    assert_eq!(Sid::from_bytes(&[2, 0, 0, 0, 0, 0, 0, 5]), None, "revision 1");
}

fn any_sid() -> impl Strategy<Value = Sid> {
    let parts = prop::collection::vec(any::<u32>(), 0..=15);
    let free = (0..1_u64 << 48, parts)
        .prop_map(|(authority, parts)| Sid::from_parts(authority, &parts).expect("within bounds"));
    prop_oneof![free, Just(known::WORLD), Just(known::ADMINISTRATORS), Just(known::LOCAL_SYSTEM)]
}

fn any_ace() -> impl Strategy<Value = Ace> {
    let flags = any::<u8>().prop_map(|flags| flags & 0xDF);
    let kind = prop_oneof![0_u8..4, Just(abi::SYSTEM_MANDATORY_LABEL_ACE_TYPE)];
    (kind, flags, any::<u32>(), any_sid()).prop_map(|(kind, flags, mask, sid)| Ace {
        kind,
        flags,
        body: AceBody::Rights { mask, sid },
    })
}

fn any_descriptor() -> impl Strategy<Value = SecurityDescriptor> {
    let list = || prop::option::of(prop::collection::vec(any_ace(), 0..5).prop_map(Acl::new));
    let sid = || prop::option::of(any_sid());
    (sid(), sid(), list(), list(), any::<u16>()).prop_map(|(owner, group, sacl, dacl, bits)| {
        let of_sacl = abi::SE_SACL_PROTECTED | abi::SE_SACL_AUTO_INHERITED | abi::SE_SACL_AUTO_INHERIT_REQ;
        let of_dacl = abi::SE_DACL_PROTECTED | abi::SE_DACL_AUTO_INHERITED | abi::SE_DACL_AUTO_INHERIT_REQ;
        let mut control = 0;
        // Present without a list is a NULL one.
        if sacl.is_some() || bits & 1 != 0 {
            control |= abi::SE_SACL_PRESENT | bits & of_sacl;
        }
        if dacl.is_some() || bits & 2 != 0 {
            control |= abi::SE_DACL_PRESENT | bits & of_dacl;
        }
        SecurityDescriptor { control, owner, group, sacl, dacl }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_reads_back_as_the_same_descriptor(descriptor in any_descriptor()) {
        let text = print_sddl(&descriptor).expect("entries that the language has");
        prop_assert_eq!(parse_sddl(&wide(&text)), Ok(descriptor), "{}", text);
    }

    #[test]
    fn self_relative_bytes_read_back_as_the_same_descriptor(descriptor in any_descriptor()) {
        let bytes = descriptor.to_bytes().expect("short lists");
        prop_assert_eq!(SecurityDescriptor::from_bytes(&bytes), Some(descriptor));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[ODGS:P(AIR;)GXWFKBSYU0-9x\\-\u{e4}\u{10000}]{0,60}") {
        let _either = parse_sddl(&wide(&text));
    }

    #[test]
    fn a_descriptors_text_with_one_unit_changed_makes_no_panic(
        descriptor in any_descriptor(), at in any::<prop::sample::Index>(), unit in any::<u16>()
    ) {
        let mut text = wide(&print_sddl(&descriptor).expect("entries that the language has"));
        if !text.is_empty() {
            let at = at.index(text.len());
            text[at] = unit;
        }
        let _either = parse_sddl(&text);
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), relative in any::<bool>()) {
        let mut bytes = bytes;
        if relative && bytes.len() > 20 {
            bytes[0] = abi::SECURITY_DESCRIPTOR_REVISION;
            bytes[3] |= 0x80;
            for slot in [4, 8, 12, 16] {
                bytes[slot + 1..slot + 4].fill(0);
            }
        }
        let _either = (SecurityDescriptor::from_bytes(&bytes), Acl::from_bytes(&bytes), Sid::from_bytes(&bytes));
    }
}
