//! What `SeQueryInformationToken` and `NtQueryInformationToken` answer: a token's parts in NT's structures, with SIDs behind
//! them by address.

use super::{Sid, Token, TokenKind};

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// Classes that fit the pointer itself: `*(PULONG)TokenInformation`.
    Word(u32),
    /// Everything else.
    Block(Block),
}

/// Bytes with addresses in them that are not known before the block has its place.
#[derive(Debug, Default)]
pub struct Block {
    bytes: Vec<u8>,
    /// Where an address stands, and how far into the block it leads.
    addresses: Vec<(usize, usize)>,
    behind: Vec<(usize, Vec<u8>)>,
}

impl Block {
    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Its bytes when it lies at `address`.
    #[must_use]
    pub fn at(mut self, address: u64) -> Vec<u8> {
        for (place, offset) in &self.addresses {
            let target = address + *offset as u64;
            self.bytes[*place..place + 8].copy_from_slice(&target.to_le_bytes());
        }
        self.bytes
    }

    fn word(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn long(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }

    /// A pointer to bytes that will stand behind everything else.
    fn pointer(&mut self, bytes: Vec<u8>) {
        self.behind.push((self.bytes.len(), bytes));
        self.long(0);
    }

    fn sid_and_attributes(&mut self, sid: &Sid, attributes: u32) {
        self.pointer(sid.to_bytes());
        self.word(attributes);
        self.align();
    }

    fn finish(mut self) -> Answer {
        for (place, bytes) in std::mem::take(&mut self.behind) {
            self.align();
            self.addresses.push((place, self.bytes.len()));
            self.bytes.extend(bytes);
        }
        Answer::Block(self)
    }
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

fn groups<'a>(all: impl ExactSizeIterator<Item = (&'a Sid, u32)>) -> Answer {
    let mut block = Block::default();
    block.word(count(all.len()));
    block.align();
    all.for_each(|(sid, attributes)| block.sid_and_attributes(sid, attributes));
    block.finish()
}

fn sid(sid: &Sid) -> Answer {
    let mut block = Block::default();
    block.pointer(sid.to_bytes());
    block.finish()
}

fn words(words: &[u32]) -> Answer {
    let mut block = Block::default();
    words.iter().for_each(|word| block.word(*word));
    block.finish()
}

/// `TOKEN_STATISTICS`. The token's identifier is its object's address, unique as long as it lives.
fn statistics(token: &Token, kind: TokenKind, address: u64) -> Answer {
    let mut block = Block::default();
    block.long(address);
    block.long(u64::from(token.logon_session));
    block.long(u64::try_from(i64::MAX).unwrap_or(0));
    block.word(type_of(kind));
    // Memory charged, memory left: what a token that never changes has not got.
    let level = match kind {
        TokenKind::Primary => 0,
        TokenKind::Impersonation(level) => level.value(),
    };
    let counts = [level, 0, 0, count(token.groups.len()), count(token.privileges.len())];
    counts.iter().for_each(|word| block.word(*word));
    block.long(address);
    block.finish()
}

/// TOKEN_TYPE.
fn type_of(kind: TokenKind) -> u32 {
    let kind = if kind == TokenKind::Primary { abi::TokenPrimary } else { abi::TokenImpersonation };
    kind.cast_unsigned()
}

/// What `token`, whose object is at `address`, answers; `None` for classes that are not answered, and for the level of a
/// primary token.
#[must_use]
pub fn query_information(
    token: &Token,
    kind: TokenKind,
    address: u64,
    class: abi::TOKEN_INFORMATION_CLASS,
) -> Option<Answer> {
    /// TokenElevationTypeDefault: no other token belongs to it.
    const ELEVATION_DEFAULT: u32 = 1;
    Some(match class {
        abi::TokenUser => {
            let mut block = Block::default();
            block.sid_and_attributes(&token.user, 0);
            block.finish()
        }
        abi::TokenGroups => groups(token.groups.iter().map(|group| (&group.sid, group.attributes))),
        abi::TokenRestrictedSids => groups(token.restricted.iter().map(|sid| (sid, abi::SE_GROUP_ENABLED))),
        abi::TokenPrivileges => {
            let mut block = Block::default();
            block.word(count(token.privileges.len()));
            for privilege in &token.privileges {
                let entry = [privilege.number, 0, privilege.attributes];
                entry.iter().for_each(|word| block.word(*word));
            }
            block.finish()
        }
        abi::TokenOwner => sid(&token.owner),
        abi::TokenPrimaryGroup => sid(&token.primary_group),
        abi::TokenDefaultDacl => {
            let mut block = Block::default();
            block.pointer(token.default_dacl.to_bytes()?);
            block.finish()
        }
        abi::TokenType => words(&[type_of(kind)]),
        abi::TokenImpersonationLevel => match kind {
            TokenKind::Primary => return None,
            TokenKind::Impersonation(level) => words(&[level.value()]),
        },
        abi::TokenStatistics => statistics(token, kind, address),
        abi::TokenElevationType => words(&[ELEVATION_DEFAULT]),
        abi::TokenElevation => words(&[u32::from(token.is_administrator())]),
        abi::TokenHasRestrictions => words(&[u32::from(!token.restricted.is_empty())]),
        abi::TokenSessionId => Answer::Word(1),
        abi::TokenIntegrityLevel => Answer::Word(token.integrity),
        _ => return None,
    })
}
