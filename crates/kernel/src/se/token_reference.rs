//! Token objects, and references to them that are dropped with their holder.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Weak};

use abi::NTSTATUS;

use super::{Ace, Acl, Level, Sid, Token, assign, well_known};
use crate::Kernel;
use crate::mm::PoolOwner;
use crate::ob::{Object, ObjectBody, ObjectType};
use crate::ps::Process;

/// Tag of token objects.
const TOKEN_TAG: u32 = u32::from_le_bytes(*b"Toke");
/// Bytes of a token object, all zero: no public header describes it.
const TOKEN_SIZE: usize = 64;
const MAPPING: [u32; 4] = [0x2_0008, 0x2_00E0, 0x2_0005, 0xF_01FF];

/// What a token is for (TOKEN_TYPE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A process's.
    Primary,
    /// A thread's, for a client's sake.
    Impersonation(Level),
}

/// A token as drivers and handles refer to it.
#[derive(Debug)]
pub struct TokenBody {
    /// The token.
    pub token: Arc<Token>,
    /// What it is for.
    pub kind: TokenKind,
    address: u64,
}

impl ObjectBody for TokenBody {
    fn object_type(&self) -> ObjectType {
        ObjectType { name: "Token", parses: false, generic_mapping: MAPPING }
    }

    fn delete(&self, kernel: &Kernel, _object: &Object) {
        // Opaque memory of the kernel's own: a driver that overran it is found when the machine's pool is looked at.
        let _overrun = kernel.mm.pool.free(self.address);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A reference to a token object, dropped with this, wherever that happens: a thread that impersonates may end outside of
/// the machine.
pub struct TokenReference {
    object: Arc<Object>,
    token: Arc<Token>,
    kind: TokenKind,
    kernel: Weak<Kernel>,
}

impl TokenReference {
    /// A fresh token object. Its descriptor is what the token gives to all that it creates. (Confirm.)
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn new(kernel: &Kernel, token: Arc<Token>, kind: TokenKind) -> Result<Self, NTSTATUS> {
        let descriptor = assign(None, None, false, &token, &MAPPING)?;
        let block = kernel.mm.pool.allocate_zeroed(TOKEN_SIZE, TOKEN_TAG, PoolOwner::default());
        let address = block.ok_or(abi::STATUS_INSUFFICIENT_RESOURCES)?.address;
        let object = Object::new(address, TokenBody { token: token.clone(), kind, address });
        object.set_security(descriptor);
        kernel.ob.remember(&object);
        Ok(Self { object, token, kind, kernel: kernel.weak() })
    }

    /// The token object of a process. Made when first asked for.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`; `STATUS_PROCESS_IS_TERMINATING` when the process has ended.
    pub fn of_process(kernel: &Kernel, process: &Process) -> Result<Self, NTSTATUS> {
        let mut slot = process.token_object();
        if slot.is_none() && !process.has_ended() {
            // The process's own reference goes when it ends.
            *slot = Some(Self::new(kernel, process.token.clone(), TokenKind::Primary)?.into_object());
        }
        let object = slot.as_ref().ok_or(abi::STATUS_PROCESS_IS_TERMINATING)?;
        Self::to(kernel, object).ok_or(abi::STATUS_PROCESS_IS_TERMINATING)
    }

    /// Another reference to the token object at `address`; `None` when there is none.
    #[must_use]
    pub fn at(kernel: &Kernel, address: u64) -> Option<Self> {
        Self::to(kernel, &kernel.ob.by_address(address)?)
    }

    /// Another reference to `object`; `None` when it is no token, or gone.
    #[must_use]
    pub fn to(kernel: &Kernel, object: &Arc<Object>) -> Option<Self> {
        let body = object.body::<TokenBody>().filter(|_| object.try_reference())?;
        Some(Self {
            object: object.clone(),
            token: body.token.clone(),
            kind: body.kind,
            kernel: kernel.weak(),
        })
    }

    /// Gives the object a list for its own user, for `sid`, for administrators and the system.
    pub(crate) fn admit(&self, sid: &Sid) {
        let all = MAPPING[3];
        let admitted = [self.token.user, *sid, well_known::ADMINISTRATORS, well_known::LOCAL_SYSTEM];
        let mut descriptor = self.object.security().map(|own| (*own).clone()).unwrap_or_default();
        descriptor.dacl = Some(Acl::new(admitted.map(|sid| Ace::allow(all, sid)).to_vec()));
        descriptor.control |= abi::SE_DACL_PRESENT;
        self.object.set_security(descriptor);
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &Arc<Token> {
        &self.token
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// Its object.
    #[must_use]
    pub fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// Its object's address (PACCESS_TOKEN).
    #[must_use]
    pub fn address(&self) -> u64 {
        self.object.address
    }

    /// The object with the reference, which whoever gets it drops.
    #[must_use]
    pub fn into_object(self) -> Arc<Object> {
        let object = self.object.clone();
        self.forget();
        object
    }

    /// As [`Self::into_object`]: the object's address, for a driver that drops the reference.
    #[must_use]
    pub fn into_address(self) -> u64 {
        let address = self.address();
        self.forget();
        address
    }

    /// Keeps the reference counted.
    fn forget(mut self) {
        self.kernel = Weak::new();
    }
}

impl Clone for TokenReference {
    fn clone(&self) -> Self {
        // This one keeps the object alive.
        assert!(self.object.try_reference(), "a referenced token object is gone");
        Self {
            object: self.object.clone(),
            token: self.token.clone(),
            kind: self.kind,
            kernel: self.kernel.clone(),
        }
    }
}

impl fmt::Debug for TokenReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, kind) = (self.address(), self.kind);
        formatter
            .debug_struct("TokenReference")
            .field("address", &address)
            .field("kind", &kind)
            .finish_non_exhaustive()
    }
}

impl Drop for TokenReference {
    fn drop(&mut self) {
        // Without a machine there is no pool that the object would go back to.
        if let Some(kernel) = self.kernel.upgrade() {
            self.object.dereference(&kernel);
        }
    }
}
