//! The security descriptor definition language: `D:P(A;;GA;;;SY)(A;;GRGW;;;WD)`. Source: "Security Descriptor Definition
//! Language", "ACE Strings", "SID Strings", "SDDL for Device Objects".
//!
//! Owner, group and both lists; entries that allow, deny, audit or label, without object GUIDs and without conditions.
//! Aliases that depend on a domain (`DA`, `DU`, …) are unknown here. Text beside the language is refused, spaces too.

use std::fmt;

use super::{Ace, AceBody, Acl, SecurityDescriptor, Sid, well_known as known};

/// Why a text is no descriptor: what was expected, and at which character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SddlError {
    /// Index of the UTF-16 unit.
    pub at: usize,
    /// What should be there.
    pub expected: &'static str,
}

impl fmt::Display for SddlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} expected at character {}", self.expected, self.at)
    }
}

impl std::error::Error for SddlError {}

const RIGHTS: &[(&str, u32)] = &[
    ("GA", abi::GENERIC_ALL),
    ("GR", abi::GENERIC_READ),
    ("GW", abi::GENERIC_WRITE),
    ("GX", abi::GENERIC_EXECUTE),
    ("FA", abi::FILE_ALL_ACCESS),
    ("FR", abi::FILE_GENERIC_READ),
    ("FW", abi::FILE_GENERIC_WRITE),
    ("FX", abi::FILE_GENERIC_EXECUTE),
    ("KA", abi::KEY_ALL_ACCESS),
    ("KR", abi::KEY_READ),
    ("KW", abi::KEY_WRITE),
    ("KX", abi::KEY_EXECUTE),
    ("RC", abi::READ_CONTROL),
    ("SD", abi::DELETE),
    ("WD", abi::WRITE_DAC),
    ("WO", abi::WRITE_OWNER),
    // The rights of directory service objects, which are just the low bits.
    ("CC", 0x1),
    ("DC", 0x2),
    ("LC", 0x4),
    ("SW", 0x8),
    ("RP", 0x10),
    ("WP", 0x20),
    ("DT", 0x40),
    ("LO", 0x80),
    ("CR", 0x100),
];
/// Of a label, what those below it may not do.
const LABEL_RIGHTS: &[(&str, u32)] = &[("NW", 1), ("NR", 2), ("NX", 4)];
/// Of [`RIGHTS`], the generic ones, and those of files. Masks that are made of them are printed so, others as numbers: the
/// same word is a right of a file or of a label by the kind of its entry.
const GENERIC_RIGHTS: std::ops::Range<usize> = 0..4;
const FILE_RIGHTS: std::ops::Range<usize> = 4..8;

const KINDS: &[(&str, u8)] = &[
    ("A", abi::ACCESS_ALLOWED_ACE_TYPE),
    ("D", abi::ACCESS_DENIED_ACE_TYPE),
    ("AU", abi::SYSTEM_AUDIT_ACE_TYPE),
    ("AL", abi::SYSTEM_ALARM_ACE_TYPE),
    ("ML", abi::SYSTEM_MANDATORY_LABEL_ACE_TYPE),
];
const FLAGS: &[(&str, u8)] = &[
    ("CI", abi::CONTAINER_INHERIT_ACE),
    ("OI", abi::OBJECT_INHERIT_ACE),
    ("NP", abi::NO_PROPAGATE_INHERIT_ACE),
    ("IO", abi::INHERIT_ONLY_ACE),
    ("ID", abi::INHERITED_ACE),
    ("SA", abi::SUCCESSFUL_ACCESS_ACE_FLAG),
    ("FA", abi::FAILED_ACCESS_ACE_FLAG),
];
const ALIASES: &[(&str, Sid)] = &[
    ("WD", known::WORLD),
    ("SY", known::LOCAL_SYSTEM),
    ("BA", known::ADMINISTRATORS),
    ("BU", known::USERS),
    ("BG", known::GUESTS),
    ("AN", known::ANONYMOUS),
    ("AU", known::AUTHENTICATED_USERS),
    ("IU", known::INTERACTIVE),
    ("NU", known::NETWORK),
    ("SU", known::SERVICE),
    ("LS", known::LOCAL_SERVICE),
    ("NS", known::NETWORK_SERVICE),
    ("RC", known::RESTRICTED),
    ("WR", known::WRITE_RESTRICTED),
    ("CO", known::CREATOR_OWNER),
    ("CG", known::CREATOR_GROUP),
    ("OW", known::OWNER_RIGHTS),
    ("PS", known::SELF),
    ("ED", known::ENTERPRISE_CONTROLLERS),
    ("UD", known::USER_MODE_DRIVERS),
    ("AC", known::ALL_APP_PACKAGES),
    ("PU", known::POWER_USERS),
    ("AO", known::ACCOUNT_OPERATORS),
    ("SO", known::SYSTEM_OPERATORS),
    ("PO", known::PRINT_OPERATORS),
    ("BO", known::BACKUP_OPERATORS),
    ("RE", known::REPLICATORS),
    ("RD", known::REMOTE_DESKTOP),
    ("NO", known::NETWORK_CONFIGURATION),
    ("MU", known::MONITORING),
    ("LU", known::LOGGING),
    ("LW", known::mandatory(0x1000)),
    ("ME", known::mandatory(0x2000)),
    ("HI", known::mandatory(0x3000)),
    ("SI", known::mandatory(0x4000)),
];

/// The descriptor that a text stands for. Every part is optional and comes once.
///
/// # Errors
/// Where the text stops being one, and what was expected there.
pub fn parse(text: &[u16]) -> Result<SecurityDescriptor, SddlError> {
    let mut reader = Reader { text, at: 0 };
    let mut descriptor = SecurityDescriptor::default();
    let mut seen = Vec::new();
    while reader.at < text.len() {
        let part = reader.peek();
        let known = [b'O', b'G', b'D', b'S'].map(Some).contains(&part);
        if !known || seen.contains(&part) {
            return Err(reader.error("O:, G:, D: or S:, each once,"));
        }
        seen.push(part);
        reader.at += 1;
        reader.expect(b':')?;
        match part {
            Some(b'O') => descriptor.owner = Some(reader.sid()?),
            Some(b'G') => descriptor.group = Some(reader.sid()?),
            Some(b'D') => {
                descriptor.control |= abi::SE_DACL_PRESENT;
                descriptor.dacl = reader.list(&mut descriptor.control, &DACL_FLAGS)?;
            }
            _ => {
                descriptor.control |= abi::SE_SACL_PRESENT;
                descriptor.sacl = reader.list(&mut descriptor.control, &SACL_FLAGS)?;
            }
        }
    }
    // `to_bytes` has the last word on how long lists may be.
    if descriptor.to_bytes().is_none() { Err(reader.error("a shorter list")) } else { Ok(descriptor) }
}

/// A NULL list; the list's flags stand before it.
const NULL_LIST: &str = "NO_ACCESS_CONTROL";

type ListFlags = [(&'static str, u16); 3];
const DACL_FLAGS: ListFlags = [
    ("P", abi::SE_DACL_PROTECTED),
    ("AR", abi::SE_DACL_AUTO_INHERIT_REQ),
    ("AI", abi::SE_DACL_AUTO_INHERITED),
];
const SACL_FLAGS: ListFlags = [
    ("P", abi::SE_SACL_PROTECTED),
    ("AR", abi::SE_SACL_AUTO_INHERIT_REQ),
    ("AI", abi::SE_SACL_AUTO_INHERITED),
];

struct Reader<'a> {
    text: &'a [u16],
    at: usize,
}

impl Reader<'_> {
    fn error(&self, expected: &'static str) -> SddlError {
        SddlError { at: self.at, expected }
    }

    /// The next character, if it is ASCII.
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).and_then(|unit| u8::try_from(*unit).ok())
    }

    fn expect(&mut self, byte: u8) -> Result<(), SddlError> {
        if self.peek() != Some(byte) {
            return Err(self.error(match byte {
                b':' => "a colon",
                b';' => "a semicolon",
                _ => "a closing parenthesis",
            }));
        }
        self.at += 1;
        Ok(())
    }

    fn starts_with(&self, word: &str) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.len() >= word.len() && word.bytes().zip(rest).all(|(byte, unit)| u16::from(byte) == *unit)
    }

    /// The entry of a table whose word comes next.
    fn word<T: Copy>(&mut self, table: &[(&str, T)]) -> Option<T> {
        let (word, value) = table.iter().find(|(word, _)| self.starts_with(word))?;
        self.at += word.len();
        Some(*value)
    }

    fn list(&mut self, control: &mut u16, flags: &ListFlags) -> Result<Option<Acl>, SddlError> {
        while let Some(flag) = self.word(flags) {
            *control |= flag;
        }
        if self.starts_with(NULL_LIST) {
            self.at += NULL_LIST.len();
            return Ok(None);
        }
        let mut aces = Vec::new();
        while self.peek() == Some(b'(') {
            self.at += 1;
            aces.push(self.ace()?);
            self.expect(b')')?;
        }
        Ok(Some(Acl::new(aces)))
    }

    fn ace(&mut self) -> Result<Ace, SddlError> {
        // The longer words first: A begins AU and AL.
        let kind = self.word(&KINDS[2..]).or_else(|| self.word(&KINDS[..2]));
        let kind = kind.ok_or(self.error("A, D, AU, AL or ML"))?;
        self.expect(b';')?;
        let mut flags = 0;
        while let Some(flag) = self.word(FLAGS) {
            flags |= flag;
        }
        self.expect(b';')?;
        let mask = self.rights(kind)?;
        self.expect(b';')?;
        self.expect(b';')?;
        self.expect(b';')?;
        let sid = self.sid()?;
        Ok(Ace { kind, flags, body: AceBody::Rights { mask, sid } })
    }

    fn rights(&mut self, kind: u8) -> Result<u32, SddlError> {
        if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.number().and_then(|value| u32::try_from(value).ok()).ok_or(self.error("32 bits"));
        }
        let table = if kind == abi::SYSTEM_MANDATORY_LABEL_ACE_TYPE { LABEL_RIGHTS } else { RIGHTS };
        let mut mask = 0;
        while let Some(right) = self.word(table) {
            mask |= right;
        }
        Ok(mask)
    }

    /// A decimal, octal (0…) or hexadecimal (0x…) number of at most 64 bits.
    fn number(&mut self) -> Option<u64> {
        let prefixed = self.starts_with("0x") || self.starts_with("0X");
        let radix = if prefixed {
            16
        } else if self.peek() == Some(b'0') {
            8
        } else {
            10
        };
        self.at += if prefixed { 2 } else { 0 };
        self.digits(radix, usize::MAX)
    }

    fn digits(&mut self, radix: u32, most: usize) -> Option<u64> {
        let start = self.at;
        let mut value: u64 = 0;
        while self.at - start < most
            && let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(radix))
        {
            value = value.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))?;
            self.at += 1;
        }
        (self.at > start).then_some(value)
    }

    fn sid(&mut self) -> Result<Sid, SddlError> {
        if !self.starts_with("S-1-") {
            return self.word(ALIASES).ok_or(self.error("a known alias or S-1-…"));
        }
        self.at += 4;
        let hexadecimal = self.starts_with("0x") || self.starts_with("0X");
        self.at += if hexadecimal { 2 } else { 0 };
        // Of 48 bits: a D: that follows is no part of it.
        let authority = if hexadecimal { self.digits(16, 12) } else { self.digits(10, usize::MAX) };
        let authority = authority.ok_or(self.error("an authority"))?;
        let mut parts = Vec::new();
        while self.peek() == Some(b'-') {
            self.at += 1;
            let part = self.digits(10, usize::MAX).and_then(|part| u32::try_from(part).ok());
            parts.push(part.ok_or(self.error("a sub-authority"))?);
        }
        Sid::from_parts(authority, &parts).ok_or(self.error("a SID of at most 15 parts"))
    }
}

/// A descriptor as text that [`parse`] reads back; entries that the language here has no words for are `None`.
#[must_use]
pub fn print(descriptor: &SecurityDescriptor) -> Option<String> {
    let mut text = String::new();
    for (letter, sid) in [('O', &descriptor.owner), ('G', &descriptor.group)] {
        if let Some(sid) = sid {
            text.push_str(&format!("{letter}:{}", print_sid(sid)));
        }
    }
    let lists = [
        ('D', abi::SE_DACL_PRESENT, &descriptor.dacl, &DACL_FLAGS),
        ('S', abi::SE_SACL_PRESENT, &descriptor.sacl, &SACL_FLAGS),
    ];
    for (letter, present, list, flags) in lists {
        if descriptor.control & present == 0 {
            continue;
        }
        text.push_str(&format!("{letter}:"));
        let set = flags.iter().filter(|(_, flag)| descriptor.control & flag != 0);
        text.extend(set.map(|(word, _)| *word));
        let Some(list) = list else {
            text.push_str(NULL_LIST);
            continue;
        };
        for ace in &list.aces {
            text.push_str(&print_ace(ace)?);
        }
    }
    Some(text)
}

fn print_ace(ace: &Ace) -> Option<String> {
    let AceBody::Rights { mask, sid } = &ace.body else { return None };
    let (kind, _) = KINDS.iter().find(|(_, kind)| *kind == ace.kind)?;
    let named = FLAGS.iter().fold(0, |all, (_, flag)| all | flag);
    if ace.flags & !named != 0 {
        return None;
    }
    let flags: String =
        FLAGS.iter().filter(|(_, flag)| ace.flags & flag != 0).map(|(word, _)| *word).collect();
    let label = ace.kind == abi::SYSTEM_MANDATORY_LABEL_ACE_TYPE;
    let rights = if label { format!("{mask:#x}") } else { print_rights(*mask) };
    Some(format!("({kind};{flags};{rights};;;{})", print_sid(sid)))
}

fn print_rights(mask: u32) -> String {
    let generic = &RIGHTS[GENERIC_RIGHTS];
    if let Some((word, _)) = RIGHTS[FILE_RIGHTS].iter().find(|(_, right)| *right == mask) {
        return (*word).to_owned();
    }
    let named = generic.iter().fold(0, |all, (_, right)| all | right);
    if mask == 0 || mask & !named != 0 {
        return format!("{mask:#x}");
    }
    generic.iter().filter(|(_, right)| mask & right != 0).map(|(word, _)| *word).collect()
}

fn print_sid(sid: &Sid) -> String {
    let alias = ALIASES.iter().find(|(_, known)| known == sid);
    alias.map_or_else(|| sid.to_string(), |(word, _)| (*word).to_owned())
}
