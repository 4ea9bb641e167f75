//! Code that exports without a body lead to.

use kernel::raw::Irp;
use kernel::trace::Event;
use kernel::{Kernel, Unwind};

use crate::rows::MISSING;

/// R10 names the stub: the thunk of each stub puts its index there, and the common thunk leaves it alone.
#[unsafe(naked)]
extern "sysv64" fn from_r10() -> u64 {
    std::arch::naked_asm!("mov rdi, r10", "jmp {body}", body = sym body)
}

extern "sysv64" fn body(index: u64) -> u64 {
    let name = usize::try_from(index).ok().and_then(|index| MISSING.get(index)).map_or("?", |row| row.name);
    let _outside_of_machines =
        Kernel::with_current(|kernel, _| kernel.trace.emit(|| Event::NotImplemented { what: name }));
    // SAFETY: the thunk has linked its frame, and nothing here has anything left to drop.
    unsafe { loader::seh::leave(Unwind::status(abi::STATUS_NOT_IMPLEMENTED)) }
}

/// The entry of the missing export with this index.
#[unsafe(naked)]
pub(crate) unsafe extern "win64" fn named<const INDEX: u32>() {
    std::arch::naked_asm!("mov r10d, {index}", "jmp {common}", index = const INDEX, common = sym common)
}

platform::export_thunk!(fn common, 0, from_r10);

platform::export_thunk!(
    /// The dispatch routine of unset major functions, for driver code that calls it through the table.
    pub(crate) fn invalid_device_request, 2, complete_as_invalid
);

extern "sysv64" fn complete_as_invalid(_device: u64, irp: u64) -> u64 {
    let status = abi::STATUS_INVALID_DEVICE_REQUEST;
    let outcome = Kernel::with_current(|kernel, _| {
        let irp = Irp::at(irp);
        irp.set_status(status.bits())?;
        irp.set_information(0)?;
        kernel::io::complete_request(kernel, irp, 0)
    });
    if let Some(Err(unwind)) = outcome {
        // SAFETY: the thunk has linked its frame, and nothing here has anything left to drop.
        unsafe { loader::seh::leave(unwind) }
    }
    u64::from(status.bits())
}

/// Declares exports that are only named, each with the module that documents it.
macro_rules! missing {
    ($($dll:literal: $($name:ident)+;)+) => {
        #[expect(non_camel_case_types, reason = "named after the exports")]
        enum Missing { $($($name),+),+ }

        /// The rows of exports that are only named.
        pub(crate) const MISSING: &[$crate::Row] = &[$($($crate::Row {
            name: stringify!($name),
            aliases: &[],
            dll: $dll,
            signature: "",
            irql: abi::HIGH_LEVEL,
            support: $crate::Support::Missing,
            doc: "",
            address: $crate::Address::Function($crate::stub::named::<{ Missing::$name as u32 }>),
        }),+),+];
    };
}

pub(crate) use missing;
