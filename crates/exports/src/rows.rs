//! The rows, in files by NT's prefixes.

mod crt;
mod crt_format;
mod crt_strings;
mod dbg;
mod ex;
mod ex_callback;
mod ex_fast_mutex;
mod ex_lists;
mod ex_lookaside;
mod ex_resource;
mod ex_rundown;
mod ex_spin_lock;
mod ex_work;
mod flt;
mod hal;
mod io;
mod io_cancel;
mod io_driver;
mod io_irp;
mod io_pnp;
mod io_queue;
mod io_share;
mod io_stack;
mod io_wmi;
mod ke;
mod ke_processor;
mod ke_queue;
mod ke_spin_lock;
mod ke_thread;
mod ke_timer;
mod ke_wait;
mod missing;
mod mm;
mod mm_mdl;
mod ob;
mod po;
mod ps;
mod routines;
mod rtl;
mod rtl_acl;
mod rtl_ansi;
mod rtl_numbers;
mod rtl_registry;
mod rtl_security;
mod rtl_sid;
mod rtl_strings;
mod rtl_time;
mod rtl_version;
#[cfg(test)]
mod scratch;
mod se;
mod se_client;
mod se_objects;
mod seh;
mod wmilib;
mod zw_driver;
mod zw_event;
mod zw_file;
mod zw_file_system;
mod zw_information;
mod zw_key;
mod zw_object;
mod zw_port;
mod zw_section;

use crate::{Row, data};

pub(crate) use missing::MISSING;

/// All rows, in no particular order.
#[must_use]
pub fn all() -> Vec<Row> {
    let files = [
        crt::ROWS,
        crt_format::ROWS,
        crt_format::VARIADIC_ROWS,
        crt_strings::ROWS,
        dbg::ROWS,
        dbg::VARIADIC_ROWS,
        ex::ROWS,
        ex_callback::ROWS,
        ex_fast_mutex::ROWS,
        ex_lists::ROWS,
        ex_lookaside::ROWS,
        ex_resource::ROWS,
        ex_rundown::ROWS,
        ex_spin_lock::ROWS,
        ex_work::ROWS,
        flt::ROWS,
        hal::ROWS,
        io::ROWS,
        io_cancel::ROWS,
        io_driver::ROWS,
        io_irp::ROWS,
        io_pnp::ROWS,
        io_queue::ROWS,
        io_share::ROWS,
        io_stack::ROWS,
        io_wmi::ROWS,
        ke::ROWS,
        ke_processor::ROWS,
        ke_queue::ROWS,
        ke_spin_lock::ROWS,
        ke_thread::ROWS,
        ke_timer::ROWS,
        ke_wait::ROWS,
        mm::ROWS,
        mm_mdl::ROWS,
        ob::ROWS,
        po::ROWS,
        ps::ROWS,
        routines::ROWS,
        rtl::ROWS,
        rtl_acl::ROWS,
        rtl_ansi::ROWS,
        rtl_numbers::ROWS,
        rtl_security::ROWS,
        rtl_sid::ROWS,
        rtl_registry::ROWS,
        rtl_strings::ROWS,
        rtl_time::ROWS,
        rtl_version::ROWS,
        se::ROWS,
        se_client::ROWS,
        se_objects::ROWS,
        seh::ROWS,
        wmilib::ROWS,
        zw_driver::ROWS,
        zw_event::ROWS,
        zw_file::ROWS,
        zw_file_system::ROWS,
        zw_information::ROWS,
        zw_key::ROWS,
        zw_object::ROWS,
        zw_port::ROWS,
        zw_section::ROWS,
        MISSING,
    ];
    files.into_iter().flatten().copied().chain(data::rows()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_stands_in_one_row() {
        let mut names = HashSet::new();
        for row in all() {
            for name in row.aliases.iter().chain([&row.name]) {
                assert!(names.insert(*name), "{name} stands twice");
            }
        }
    }

    #[test]
    fn every_implemented_row_is_documented() {
        for row in all().iter().filter(|row| row.support != crate::Support::Missing) {
            assert!(row.doc.trim().ends_with('.'), "{}: {:?}", row.name, row.doc);
            assert!(!row.signature.is_empty(), "{}", row.name);
        }
    }
}
