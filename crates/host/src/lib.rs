//! The composition root: a [`Machine`] is one NT, made of kernel, exports and loader; processes of the same Linux process
//! reach it directly ([`Process`]), other Linux processes through a [`Server`].
//!
//! What NT's services mean is the kernel's; how requests travel from other processes is the gate's.
#![forbid(unsafe_code)]

mod device_management;
mod early_answer;
mod error;
mod file_call;
mod image_space;
mod inheritance;
mod libraries;
mod machine;
mod management;
mod ports;
mod process;
mod report;
mod resolver;
mod server;
mod service_management;
mod services;
mod stack_walker;
mod synchronization_call;
mod system_call;
mod token_call;
mod window_buffer;
mod wmi;

pub use error::LoadError;
pub use exports::{
    Row as ExportRow, Support as ExportSupport, all as all_exports, find as find_export,
    markdown as exports_page,
};
pub use gate::{
    Admission, CreateFile, DeviceAction, DeviceReport, DeviceRequest, DirectoryEntry, DriverInformation,
    Handle, IoStatus, Parameter, Transport,
};
pub use kernel::io::ServiceKey;
pub use kernel::io::{AddDeviceError, UnloadOutcome, UnloadReport};
pub use kernel::ke::DpcLimits;
pub use kernel::lpc::PortUsage;
pub use kernel::mm::{PoolOwner, SectionUsage, SystemView, TagUsage, UserMapping, tag_name};
pub use kernel::raw::{InputBuffer, OutputBuffer};
pub use kernel::se::{Ace, Acl, SecurityDescriptor, Sid, Token, well_known};
pub use kernel::trace::{Event, Observer};
pub use kernel::{Configuration, StartError};
pub use loader::map::MissingImport;
pub use loader::pe::{ImageError, ImageFacts, Relocations, Section, inspect};
pub use machine::{LoadOptions, Machine, read_image};
pub use process::Process;
pub use report::{BugcheckReport, left_behind};
pub use server::{ServeError, ServeOptions, Server};
pub use services::{NewService, ServiceError, ServiceImage, ServiceStatus};
pub use window_buffer::WindowBuffer;
pub use wmi::{Guid as WmiGuid, WmiBlock, WmiProvider, WmiQuery};
