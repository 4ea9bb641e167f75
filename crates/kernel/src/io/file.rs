//! File objects: an open of a device, from CREATE through CLEANUP to CLOSE.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use platform::scheduler::Lock;

use super::completion_port::Association;
use super::{Device, driver, free_own, pnp, request};
use crate::Kernel;
use crate::mm::PoolBlock;
use crate::ob::{Object, ObjectBody, ObjectType};
use crate::ps::Process;
use crate::raw::{DeviceObject, FileObject};

/// GENERIC_READ, _WRITE, _EXECUTE and _ALL of files and devices.
pub(super) const GENERIC_MAPPING: [u32; 4] =
    [abi::FILE_GENERIC_READ, abi::FILE_GENERIC_WRITE, abi::FILE_GENERIC_EXECUTE, abi::FILE_ALL_ACCESS];

/// What the I/O manager keeps of a file object.
#[derive(Debug)]
pub struct File {
    /// The file object that drivers see.
    pub object: FileObject,
    /// The device that was opened.
    pub device: DeviceObject,
    pub(super) device_object: Arc<Object>,
    /// Whether requests wait for their completion (FILE_SYNCHRONOUS_IO_*): one at a time, as NT's file lock has it.
    pub(super) synchronous: bool,
    pub(super) lock: Lock<()>,
    pub(super) name: Option<PoolBlock>,
    /// The completion port that is told of the ends of its requests.
    pub(super) completion: OnceLock<Association>,
    /// FILE_SKIP_*: what is not told of requests that end in their call.
    pub(super) skips: AtomicU32,
    /// Of a file that was opened relative to another: that one's name below the device.
    pub(super) relative_to: Vec<u16>,
    /// Whether CREATE succeeded: only then CLEANUP and CLOSE follow.
    pub(super) created: AtomicBool,
    /// Whether CLEANUP has been sent.
    pub(super) cleaned_up: AtomicBool,
}

impl ObjectBody for File {
    fn object_type(&self) -> ObjectType {
        ObjectType { name: "File", parses: false, generic_mapping: GENERIC_MAPPING }
    }

    /// Locks are a process's: with the last handle of its own they go, also when others still have the file. CLEANUP says so of the last
    /// handle of all.
    ///
    /// Source: kernel, IRP_MJ_LOCK_CONTROL (IRP_MN_UNLOCK_ALL); IRP_MJ_CLEANUP.
    fn close(&self, kernel: &Kernel, process: &Process, object: &Arc<Object>, last_in_system: bool) {
        if !self.is_created() {
            return;
        }
        if last_in_system {
            self.cleaned_up.store(true, Ordering::Release);
            request::cleanup(kernel, self);
        } else if self.object.lock_operation().is_ok_and(|locked| locked != 0)
            && !process.handles.holds(object)
        {
            request::unlock_all(kernel, self);
        }
    }

    fn delete(&self, kernel: &Kernel, _object: &Object) {
        if self.is_created() {
            // It has never had a handle: a driver still gets both. (Confirm: published is that CLEANUP comes with the last
            // handle, and CLOSE behind CLEANUP.)
            if !self.cleaned_up.load(Ordering::Acquire) {
                request::cleanup(kernel, self);
            }
            request::close(kernel, self);
        }
        if let Some(name) = self.name {
            free_own(kernel, name.address);
        }
        if let Some(completion) = self.completion.get() {
            completion.release(kernel);
        }
        free_own(kernel, self.object.address());
        let Some(device) = self.device_object.body::<Device>() else { return };
        device.end_open();
        pnp::file_closed(kernel, device);
        let loaded = device.driver.upgrade();
        self.device_object.dereference(kernel);
        if let Some(loaded) = loaded {
            driver::unload_if_last(kernel, &loaded);
        }
    }

    fn full_name(&self, _object: &Object) -> Vec<u16> {
        let mut name: Vec<u16> = self.device_object.path().unwrap_or_default().encode_utf16().collect();
        name.extend(self.name_below_device());
        name
    }

    fn waits_on(&self, _object: &Object) -> Option<u64> {
        Some(self.object.event().address())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl File {
    /// Its name below the device, with a backslash in front; empty for the device itself.
    pub(super) fn name_below_device(&self) -> Vec<u16> {
        // A driver that scribbled over it loses it.
        let own = self.object.file_name().to_wide().unwrap_or_default();
        let mut name = self.relative_to.clone();
        if !own.is_empty() && own.first() != Some(&u16::from(b'\\')) {
            name.push(u16::from(b'\\'));
        }
        name.extend(own);
        name
    }

    fn is_created(&self) -> bool {
        self.created.load(Ordering::Acquire)
    }
}
