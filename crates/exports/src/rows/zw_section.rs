//! Sections: `ZwCreateSection` and its kin, views in processes and in system space.

use std::sync::Arc;

use abi::NTSTATUS;
use kernel::ex::{self, Section, SectionRequest, View};
use kernel::io;
use kernel::mm::{PoolOwner, SegmentUse};
use kernel::ob::{self, Object, Wanted};
use kernel::ps::{Process, ProcessBody};
use kernel::{Outcome, Unwind, raw, se};

use crate::Call;
use crate::attributes;
use crate::call::status_of;
use crate::row::rows;

/// What a handle may do for kernel mode, whatever it was opened for.
const EVERY_ACCESS: u32 = u32::MAX;

/// Runs `body` with the object of a handle, which is of the type `type_name`.
fn with_object<R>(
    call: Call<'_>,
    handle: u64,
    type_name: &str,
    body: impl FnOnce(&Arc<Object>) -> Result<R, NTSTATUS>,
) -> Result<R, NTSTATUS> {
    let wanted = Wanted { object_type: call.kernel.ob.type_address(type_name), ..Wanted::default() };
    let entry = ob::reference_by_handle(call.kernel, call.thread, handle, wanted)?;
    let done = body(&entry.object);
    entry.object.dereference(call.kernel);
    done
}

/// Runs `body` with the process of a handle.
fn with_process<R>(
    call: Call<'_>,
    handle: u64,
    body: impl FnOnce(&Process) -> Result<R, NTSTATUS>,
) -> Result<R, NTSTATUS> {
    with_object(call, handle, "Process", |object| {
        let process = object.body::<ProcessBody>().and_then(ProcessBody::process);
        let process: Arc<Process> = process.ok_or(abi::STATUS_PROCESS_IS_TERMINATING)?;
        body(&process)
    })
}

/// Makes the pages of a new section, and says how many bytes it has: `file` is a file's handle, or 0.
fn segment(call: Call<'_>, file: u64, request: SectionRequest) -> Result<(SegmentUse, u64), NTSTATUS> {
    if file == 0 {
        return io::segment(call.kernel, None, request);
    }
    with_object(call, file, "File", |object| io::segment(call.kernel, Some((object, EVERY_ACCESS)), request))
}

/// Gives a new section the default list of the process that the driver works for, or of the client that it impersonates: so
/// its application can use what was made for it. A descriptor of the driver's takes its place.
///
/// Source: "DACL for a New Object". (Events have the system's list: see [`attributes`].)
fn give_default_list(call: Call<'_>, object: Arc<Object>) -> Result<Arc<Object>, NTSTATUS> {
    let assigned = ob::current_process(call.kernel, call.thread).and_then(|process| {
        let subject = se::Subject::current(call.kernel, &process);
        se::assign(None, None, false, subject.token(), &object.object_type().generic_mapping)
    });
    match assigned {
        Ok(descriptor) => {
            object.set_security(descriptor);
            Ok(object)
        }
        Err(status) => {
            object.dereference(call.kernel);
            Err(status)
        }
    }
}

/// A value in the caller's memory; 0 when there is no pointer to it.
fn optional(address: u64) -> Outcome<u64> {
    if address == 0 { Ok(0) } else { raw::read(address) }
}

/// The section at an address, as `ObReferenceObjectByHandle` returned it.
fn section_at(call: Call<'_>, address: u64) -> Result<Arc<Object>, NTSTATUS> {
    let object = call.kernel.ob.by_address(address).ok_or(abi::STATUS_INVALID_PARAMETER)?;
    if object.body::<Section>().is_some() { Ok(object) } else { Err(abi::STATUS_OBJECT_TYPE_MISMATCH) }
}

/// SectionBasicInformation.
const BASIC: i32 = 0;
/// A section of a file, in SECTION_BASIC_INFORMATION.
const SEC_FILE: u32 = 0x80_0000;
/// `ZeroBits` must be less.
const ZERO_BITS: u64 = 21;

/// What of a view is not asked of `ex`.
struct Rest {
    zero_bits: u64,
    commit_size: u64,
    size: u64,
    inherit: i32,
    allocation_type: u32,
}

impl Rest {
    /// (Confirm: which parameter each status names. ZwMapViewOfSection's page says what the values may be.)
    fn check(&self) -> NTSTATUS {
        if self.zero_bits >= ZERO_BITS {
            abi::STATUS_INVALID_PARAMETER_4
        } else if self.size != 0 && self.commit_size > self.size {
            abi::STATUS_INVALID_PARAMETER_5
        } else if !matches!(self.inherit, abi::ViewShare | abi::ViewUnmap) {
            abi::STATUS_INVALID_PARAMETER_8
        } else if self.zero_bits != 0 || self.allocation_type & !abi::MEM_TOP_DOWN != 0 {
            abi::STATUS_NOT_IMPLEMENTED
        } else {
            abi::STATUS_SUCCESS
        }
    }
}

rows! {
    dll = "ntoskrnl.exe";

    /// Makes a section, of a file or of pages of its own, or with OBJ_OPENIF opens the one of its name. Executable and
    /// copy-on-write pages, images and large pages are not implemented.
    irql(PASSIVE_LEVEL) support(Partial) alias("NtCreateSection")
    fn ZwCreateSection(
        call,
        section_handle: u64,
        desired_access: u32,
        object_attributes: u64,
        maximum_size: u64,
        section_page_protection: u32,
        allocation_attributes: u32,
        file_handle: u64
    ) -> NTSTATUS {
        let attributes = match attributes::read(call, object_attributes)? {
            Ok(attributes) => attributes,
            Err(status) => return Ok(status),
        };
        let size = optional(maximum_size)?;
        let protection = section_page_protection;
        let request = SectionRequest { size, protection, attributes: allocation_attributes };
        let made = segment(call, file_handle, request)
            .and_then(|(segment, size)| ex::section_object(call.kernel, segment, size, request))
            .and_then(|object| give_default_list(call, object));
        match made {
            Ok(object) => {
                attributes::create::<Section>(call, section_handle, desired_access, &attributes, &object)
            }
            Err(status) => Ok(status),
        }
    }

    /// Opens a section by name.
    irql(PASSIVE_LEVEL) alias("NtOpenSection")
    fn ZwOpenSection(call, section_handle: u64, desired_access: u32, object_attributes: u64) -> NTSTATUS {
        attributes::open::<Section>(call, section_handle, desired_access, object_attributes)
    }

    /// Shows a part of a section to a process: PAGE_READONLY or PAGE_READWRITE. No process inherits views, so ViewShare is
    /// ViewUnmap; zero bits, MEM_RESERVE and large pages are not implemented.
    irql(PASSIVE_LEVEL) support(Partial) alias("NtMapViewOfSection")
    fn ZwMapViewOfSection(
        call,
        section_handle: u64,
        process_handle: u64,
        base_address: u64,
        zero_bits: u64,
        commit_size: u64,
        section_offset: u64,
        view_size: u64,
        inherit_disposition: i32,
        allocation_type: u32,
        win32_protect: u32
    ) -> NTSTATUS {
        let asked =
            View { base: raw::read(base_address)?, offset: optional(section_offset)?, size: raw::read(view_size)? };
        let (size, inherit) = (asked.size, inherit_disposition);
        let checked = Rest { zero_bits, commit_size, size, inherit, allocation_type }.check();
        if !checked.is_success() {
            return Ok(checked);
        }
        let mapped = with_object(call, section_handle, "Section", |object| {
            let section = object.body::<Section>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
            with_process(call, process_handle, |process| {
                ex::map_view(section, EVERY_ACCESS, process, asked, win32_protect)
            })
        });
        match mapped {
            Ok(view) => {
                raw::write(base_address, view.base)?;
                raw::write(view_size, view.size)?;
                if section_offset != 0 {
                    raw::write(section_offset, view.offset)?;
                }
                Ok(abi::STATUS_SUCCESS)
            }
            Err(status) => Ok(status),
        }
    }

    /// Ends a view in a process, which `base_address` may lie anywhere in.
    irql(PASSIVE_LEVEL) alias("NtUnmapViewOfSection")
    fn ZwUnmapViewOfSection(call, process_handle: u64, base_address: u64) -> NTSTATUS {
        let unmapped =
            with_process(call, process_handle, |process| process.user_space.unmap_segment(base_address));
        Ok(status_of(unmapped))
    }

    /// Shows a section, or its front, to the kernel.
    irql(APC_LEVEL)
    fn MmMapViewInSystemSpace(call, section: u64, mapped_base: u64, view_size: u64) -> NTSTATUS {
        let size = raw::read(view_size)?;
        let mapped = section_at(call, section).and_then(|object| {
            let section = object.body::<Section>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
            let owner = PoolOwner(call.kernel.io.calling_driver().unwrap_or(0));
            ex::map_view_in_system_space(call.kernel, section, size, owner)
        });
        match mapped {
            Ok((address, size)) => {
                raw::write(mapped_base, address)?;
                raw::write(view_size, size)?;
                Ok(abi::STATUS_SUCCESS)
            }
            Err(status) => Ok(status),
        }
    }

    /// Ends a view that MmMapViewInSystemSpace began. What is none stops the machine: DRIVER_UNMAPPING_INVALID_VIEW.
    irql(APC_LEVEL)
    fn MmUnmapViewInSystemSpace(call, mapped_base: u64) -> NTSTATUS {
        let unmapped = call.kernel.mm.unmap_in_system_space(mapped_base);
        if unmapped.is_err() {
            call.kernel.bug_check(abi::DRIVER_UNMAPPING_INVALID_VIEW, [mapped_base, 1, 0, 0]);
            return Err(Unwind::Halt);
        }
        Ok(abi::STATUS_SUCCESS)
    }

    /// Tells what a section is (Confirm: no public text describes it): SectionBasicInformation alone, of three fields: BaseAddress,
    /// AllocationAttributes, MaximumSize.
    irql(PASSIVE_LEVEL) support(Partial) alias("NtQuerySection")
    fn ZwQuerySection(
        call,
        section_handle: u64,
        section_information_class: i32,
        section_information: u64,
        section_information_length: u64,
        return_length: u64
    ) -> NTSTATUS {
        const SIZE: u64 = 24;
        if section_information_class != BASIC {
            return Ok(abi::STATUS_NOT_IMPLEMENTED);
        }
        if section_information_length != SIZE {
            return Ok(abi::STATUS_INFO_LENGTH_MISMATCH);
        }
        let asked = with_object(call, section_handle, "Section", |object| {
            let section = object.body::<Section>().ok_or(abi::STATUS_OBJECT_TYPE_MISMATCH)?;
            Ok((section.segment().is_of_file(), section.attributes(), section.size()))
        });
        let (is_of_file, attributes, size) = match asked {
            Ok(answer) => answer,
            Err(status) => return Ok(status),
        };
        raw::write(section_information, 0_u64)?;
        let attributes = if is_of_file { SEC_FILE } else { attributes };
        raw::write(section_information.wrapping_add(8), u64::from(attributes))?;
        raw::write(section_information.wrapping_add(16), size)?;
        if return_length != 0 {
            raw::write(return_length, SIZE)?;
        }
        Ok(abi::STATUS_SUCCESS)
    }
}
