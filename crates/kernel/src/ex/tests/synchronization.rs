//! Mutants, semaphores and timers by handle and by name: who owns them, whom they release, and what is left of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use abi::NTSTATUS;

use crate::Kernel;
use crate::ex::{
    Synchronization, SynchronizationKind, create_synchronization, open_synchronization, release_mutant,
    release_semaphore, set_timer,
};
use crate::ke::tests::{MILLISECOND, Machine, SEEDS, on_mock, relative};
use crate::ke::{Kmutant, Thread, Timeout, WaitType};
use crate::ob::{self, Name};
use crate::ps::{self, Process};
use crate::raw::DispatcherHeader;

const ALL: u32 = abi::GENERIC_ALL;
const FREE: Synchronization = Synchronization::Mutant { initial_owner: false };
const OWNED: Synchronization = Synchronization::Mutant { initial_owner: true };
const TIMER: Synchronization = Synchronization::Timer { timer_type: abi::SynchronizationTimer };

fn semaphore(initial: i32, maximum: i32) -> Synchronization {
    Synchronization::Semaphore { initial, maximum }
}

/// An application, as its threads see it.
#[derive(Clone)]
struct Application(Arc<Process>);

impl Application {
    fn new(machine: &Machine, name: &str) -> Self {
        Self(machine.ps.create(name))
    }

    fn inside<R>(&self, kernel: &Kernel, body: impl FnOnce(&Thread) -> R) -> R {
        ps::inside(kernel, &self.0, body).expect("running")
    }

    fn create_as(
        &self,
        kernel: &Kernel,
        (name, desired_access): (&str, u32),
        wanted: Synchronization,
    ) -> Result<(u32, bool), NTSTATUS> {
        let path: Vec<u16> = name.encode_utf16().collect();
        let name = Name { path: &path, desired_access, open_if: true };
        self.inside(kernel, |thread| create_synchronization(kernel, &self.0, thread, name, wanted))
    }

    fn create(&self, kernel: &Kernel, name: &str, wanted: Synchronization) -> u32 {
        self.create_as(kernel, (name, ALL), wanted).expect("is made").0
    }

    fn open(&self, kernel: &Kernel, name: &str, kind: SynchronizationKind) -> Result<u32, NTSTATUS> {
        let path: Vec<u16> = name.encode_utf16().collect();
        let name = Name { path: &path, desired_access: ALL, open_if: true };
        self.inside(kernel, |_| open_synchronization(kernel, &self.0, name, kind))
    }

    fn wait_for(&self, kernel: &Kernel, handles: &[u32], kind: WaitType, timeout: Timeout) -> NTSTATUS {
        let wait =
            |thread: &Thread| ob::wait_for_handles(kernel, &self.0, thread, handles, kind, false, timeout);
        self.inside(kernel, wait)
    }

    fn wait(&self, kernel: &Kernel, handle: u32, timeout: Timeout) -> NTSTATUS {
        self.wait_for(kernel, &[handle], WaitType::Any, timeout)
    }

    fn release(&self, kernel: &Kernel, mutant: u32) -> Result<i32, NTSTATUS> {
        self.inside(kernel, |thread| release_mutant(kernel, &self.0, thread, mutant))
    }

    fn add(&self, kernel: &Kernel, semaphore: u32, count: i32) -> Result<i32, NTSTATUS> {
        self.inside(kernel, |_| release_semaphore(kernel, &self.0, semaphore, count))
    }

    fn set(&self, kernel: &Kernel, timer: u32, due: Option<i64>, period: i32) -> Result<bool, NTSTATUS> {
        self.inside(kernel, |_| set_timer(kernel, &self.0, timer, due, period))
    }

    /// The address of the object of a handle.
    fn address(&self, handle: u32) -> u64 {
        self.0.handles.get(handle).expect("is open").object.address
    }

    fn close(&self, kernel: &Kernel, handle: u32) {
        self.inside(kernel, |_| self.0.handles.close(kernel, &self.0, handle)).expect("is open");
    }

    /// The calling thread is no thread of it any more.
    fn end_thread(&self, kernel: &Kernel) {
        self.inside(kernel, |thread| kernel.ke.abandon_mutants(kernel, thread));
    }
}

/// Blocks of these objects that there are.
fn left(kernel: &Kernel) -> usize {
    let usage = kernel.mm.pool.usage();
    usage.iter().filter(|(_, tag, _)| tag.to_le_bytes() == *b"Sync").map(|(_, _, usage)| usage.blocks).sum()
}

const NOW: Timeout = Timeout::At(0);

#[test]
fn a_mutant_excludes_others_and_its_owner_releases_it_as_often_as_it_was_acquired() {
    on_mock(SEEDS, 2, |machine| {
        let owner = Application::new(machine, "owner");
        let inside = Arc::new(AtomicU32::new(0));
        for _ in 0..3 {
            let (owner, inside) = (owner.clone(), inside.clone());
            machine.spawn("thread", move |kernel, _| {
                let mutant = owner.create(kernel, r"\BaseNamedObjects\M", FREE);
                for _ in 0..2 {
                    assert_eq!(owner.wait(kernel, mutant, Timeout::Never), abi::STATUS_SUCCESS);
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    assert_eq!(owner.wait(kernel, mutant, NOW), abi::STATUS_SUCCESS, "its own");
                    kernel.platform.preemption_point();
                    assert_eq!(owner.release(kernel, mutant), Ok(-1));
                    inside.fetch_sub(1, Ordering::SeqCst);
                    assert_eq!(owner.release(kernel, mutant), Ok(0));
                    assert_eq!(owner.release(kernel, mutant), Err(abi::STATUS_MUTANT_NOT_OWNED));
                }
                owner.close(kernel, mutant);
            });
        }
        machine.join();
        assert_eq!(left(machine), 0);
    });
}

#[test]
fn a_process_that_ends_abandons_the_mutants_of_its_threads_although_those_live_on() {
    on_mock(SEEDS, 2, |machine| {
        let (owner, heir) = (Application::new(machine, "owner"), Application::new(machine, "heir"));
        let owned = Arc::new(AtomicBool::new(false));
        let (told, ended) = (owned.clone(), Arc::new(AtomicBool::new(false)));
        let over = ended.clone();
        machine.spawn("owner", move |kernel, _| {
            owner.create(kernel, r"\BaseNamedObjects\M", OWNED);
            told.store(true, Ordering::SeqCst);
            kernel.platform.preemption_point();
            kernel.ps.terminate(kernel, &owner.0).expect("running");
            // The Linux thread lives on: it is of the process that embeds the machine.
            while !over.load(Ordering::SeqCst) {
                kernel.platform.relax(u32::MAX);
            }
        });
        machine.spawn("heir", move |kernel, _| {
            while !owned.load(Ordering::SeqCst) {
                kernel.platform.relax(u32::MAX);
            }
            // Whoever comes after the owner's last handle makes a mutant of its own.
            let (mutant, existed) =
                heir.create_as(kernel, (r"\BaseNamedObjects\M", ALL), FREE).expect("is made");
            let wanted = if existed { abi::STATUS_ABANDONED } else { abi::STATUS_SUCCESS };
            assert_eq!(heir.wait(kernel, mutant, relative(1000)), wanted);
            assert_eq!(heir.wait(kernel, mutant, NOW), abi::STATUS_SUCCESS, "told once");
            heir.close(kernel, mutant);
            ended.store(true, Ordering::SeqCst);
        });
        machine.join();
        assert_eq!(left(machine), 0);
        assert_eq!(machine.stop_code(), None);
    });
}

#[test]
fn a_mutant_that_loses_its_last_handle_while_it_is_owned_is_its_owners_no_more() {
    on_mock(0..20, 1, |machine| {
        let application = Application::new(machine, "application");
        machine.inside(move |kernel, _| {
            for _ in 0..3 {
                let mutant = application.create(kernel, "", OWNED);
                assert_eq!(application.wait(kernel, mutant, NOW), abi::STATUS_SUCCESS);
                application.close(kernel, mutant);
                assert_eq!(left(kernel), 0);
            }
        });
        assert_eq!(machine.stop_code(), None);
    });
}

#[test]
fn whoever_finds_a_name_taken_owns_nothing_and_leaves_nothing() {
    on_mock(0..20, 1, |machine| {
        let application = Application::new(machine, "application");
        machine.inside(move |kernel, _| {
            let first = application.create(kernel, r"\BaseNamedObjects\M", FREE);
            let again = application.create_as(kernel, (r"\BaseNamedObjects\M", ALL), OWNED);
            let (second, existed) = again.expect("is opened");
            assert!(existed);
            assert_eq!(application.release(kernel, second), Err(abi::STATUS_MUTANT_NOT_OWNED));
            for other in [semaphore(1, 1), TIMER] {
                let refused = application.create_as(kernel, (r"\BaseNamedObjects\M", ALL), other);
                assert_eq!(refused, Err(abi::STATUS_OBJECT_TYPE_MISMATCH));
            }
            let semaphore = application.open(kernel, r"\BaseNamedObjects\M", SynchronizationKind::Semaphore);
            assert_eq!(semaphore, Err(abi::STATUS_OBJECT_TYPE_MISMATCH));
            assert_eq!(application.add(kernel, first, 1), Err(abi::STATUS_OBJECT_TYPE_MISMATCH));
            assert_eq!(application.set(kernel, first, None, 0), Err(abi::STATUS_OBJECT_TYPE_MISMATCH));
            assert_eq!(left(kernel), 1);
            for handle in [first, second] {
                application.close(kernel, handle);
            }
            let gone = application.open(kernel, r"\BaseNamedObjects\M", SynchronizationKind::Mutant);
            assert_eq!(gone, Err(abi::STATUS_OBJECT_NAME_NOT_FOUND));
            assert_eq!(left(kernel), 0);
        });
    });
}

#[test]
fn a_handle_does_what_its_rights_say_and_releasing_a_mutant_needs_none() {
    on_mock(0..1, 1, |machine| {
        let application = Application::new(machine, "application");
        machine.inside(move |kernel, _| {
            let make =
                |access, wanted| application.create_as(kernel, ("", access), wanted).expect("is made").0;
            let denied = abi::STATUS_ACCESS_DENIED;
            let (waits, changes) = (make(abi::SYNCHRONIZE, semaphore(1, 2)), make(2, semaphore(1, 2)));
            assert_eq!(application.wait(kernel, waits, NOW), abi::STATUS_SUCCESS);
            assert_eq!(application.add(kernel, waits, 1), Err(denied));
            assert_eq!(application.wait(kernel, changes, NOW), denied);
            assert_eq!(application.add(kernel, changes, 1), Ok(1));
            assert_eq!(application.set(kernel, make(abi::SYNCHRONIZE, TIMER), None, 0), Err(denied));
            let mutant = make(abi::READ_CONTROL, OWNED);
            assert_eq!(application.wait(kernel, mutant, NOW), denied);
            assert_eq!(application.release(kernel, mutant), Ok(0));
        });
    });
}

#[test]
fn a_semaphores_count_stays_between_zero_and_its_maximum_whatever_is_asked() {
    on_mock(0..1, 1, |machine| {
        let application = Application::new(machine, "application");
        machine.inside(move |kernel, _| {
            for (initial, maximum) in [(0, 0), (-1, 1), (2, 1), (0, -1), (i32::MIN, i32::MAX)] {
                let refused = application.create_as(kernel, ("", ALL), semaphore(initial, maximum));
                assert_eq!(refused, Err(abi::STATUS_INVALID_PARAMETER), "{initial} of {maximum}");
            }
            assert_eq!(left(kernel), 0);
            let full = application.create(kernel, "", semaphore(i32::MAX - 1, i32::MAX));
            for count in [0, -1, i32::MIN] {
                assert_eq!(application.add(kernel, full, count), Err(abi::STATUS_INVALID_PARAMETER));
            }
            let limit = Err(abi::STATUS_SEMAPHORE_LIMIT_EXCEEDED);
            for count in [2, i32::MAX] {
                assert_eq!(application.add(kernel, full, count), limit, "{count}");
            }
            assert_eq!(application.add(kernel, full, 1), Ok(i32::MAX - 1));
            assert_eq!(application.add(kernel, full, 1), limit);
        });
    });
}

#[test]
fn a_wait_for_all_takes_nothing_before_it_can_take_everything() {
    on_mock(SEEDS, 2, |machine| {
        let application = Application::new(machine, "application");
        let own = application.clone();
        let handles = machine.inside(move |kernel, _| {
            [FREE, semaphore(1, 1), semaphore(0, 1)].map(|wanted| own.create(kernel, "", wanted))
        });
        let [mutant, one, none] = handles;
        let own = application.clone();
        machine.spawn("all", move |kernel, _| {
            let waited = own.wait_for(kernel, &handles, WaitType::All, Timeout::Never);
            assert_eq!(waited, abi::STATUS_ABANDONED);
            assert_eq!(own.release(kernel, mutant), Ok(0));
        });
        let own = application.clone();
        machine.spawn("single", move |kernel, _| {
            // There, as long as not all three are.
            assert_eq!(
                own.wait_for(kernel, &[one, mutant], WaitType::All, relative(10)),
                abi::STATUS_SUCCESS
            );
            assert_eq!(own.wait(kernel, one, NOW), abi::STATUS_TIMEOUT);
            kernel.platform.preemption_point();
            assert_eq!(own.add(kernel, none, 1), Ok(0));
            assert_eq!(own.add(kernel, one, 1), Ok(0));
            own.end_thread(kernel);
        });
        machine.join();
        let twice = [mutant, one, mutant];
        machine.inside(move |kernel, _| {
            let mixed = application.wait_for(kernel, &twice, WaitType::All, NOW);
            assert_eq!(mixed, abi::STATUS_INVALID_PARAMETER_MIX);
        });
    });
}

#[test]
fn a_wait_for_all_that_a_mutants_limit_refuses_takes_nothing() {
    on_mock(0..1, 1, |machine| {
        let application = Application::new(machine, "application");
        machine.inside(move |kernel, _| {
            let (one, mutant) =
                (application.create(kernel, "", semaphore(1, 1)), application.create(kernel, "", OWNED));
            // As after two thousand million more acquisitions.
            let header = Kmutant::at(application.address(mutant)).header();
            header.set_signal_state(i32::MIN.cast_unsigned()).expect("pool");
            let limit = abi::STATUS_MUTANT_LIMIT_EXCEEDED;
            assert_eq!(application.wait(kernel, mutant, NOW), limit);
            assert_eq!(application.wait_for(kernel, &[one, mutant], WaitType::All, NOW), limit);
            assert_eq!(application.wait(kernel, one, NOW), abi::STATUS_SUCCESS, "its count is left");
            assert_eq!(header.signal_state().expect("pool"), i32::MIN.cast_unsigned());
        });
    });
}

#[test]
fn a_timers_period_and_due_time_may_be_anything_and_it_goes_with_its_last_handle() {
    on_mock(0..50, 1, |machine| {
        let application = Application::new(machine, "application");
        machine.inside(move |kernel, _| {
            let timer = application.create(kernel, "", TIMER);
            for period in [-1, i32::MIN] {
                let refused = application.set(kernel, timer, Some(-1), period);
                assert_eq!(refused, Err(abi::STATUS_INVALID_PARAMETER));
            }
            // So far away that it never comes.
            for due in [i64::MIN, i64::MAX] {
                application.set(kernel, timer, Some(due), i32::MAX).expect("is set");
                assert_eq!(application.wait(kernel, timer, relative(5)), abi::STATUS_TIMEOUT, "{due}");
            }
            assert_eq!(application.set(kernel, timer, None, 0), Ok(true));
            assert_eq!(application.set(kernel, timer, None, 0), Ok(false));
            // At once, and then each millisecond.
            let begin = kernel.platform.interrupt_time();
            assert_eq!(application.set(kernel, timer, Some(0), 1), Ok(false));
            for _ in 0..3 {
                assert_eq!(application.wait(kernel, timer, Timeout::Never), abi::STATUS_SUCCESS);
            }
            assert!(kernel.platform.interrupt_time() - begin >= 2 * MILLISECOND);
            application.close(kernel, timer);
            assert_eq!(left(kernel), 0);
        });
        // Nothing comes due in the memory that it had.
        machine.inside(|kernel, thread| crate::ke::tests::delay(kernel, thread, 10).expect("running"));
        assert_eq!(machine.stop_code(), None);
    });
}

#[test]
fn a_driver_that_has_a_mutant_by_its_handle_owns_it_like_anybody() {
    on_mock(SEEDS, 2, |machine| {
        let application = Application::new(machine, "application");
        let own = application.clone();
        let mutant = machine.inside(move |kernel, _| own.create(kernel, "", FREE));
        let object = application.0.handles.get(mutant).expect("is open").object;
        assert!(object.try_reference(), "as ObReferenceObjectByHandle");
        let address = object.address;
        machine.spawn("driver", move |kernel, thread| {
            let waited = crate::ke::tests::wait(kernel, thread, address, Timeout::Never);
            let waited = waited.expect("no exception");
            assert!([abi::STATUS_SUCCESS, abi::STATUS_ABANDONED].contains(&waited), "{waited:?}");
            kernel.platform.preemption_point();
            let released = kernel.ke.release_mutex(kernel, thread, Kmutant::at(address));
            assert_eq!(released.expect("owned"), 0);
            object.dereference(kernel);
        });
        machine.spawn("application", move |kernel, _| {
            assert_eq!(application.wait(kernel, mutant, Timeout::Never), abi::STATUS_SUCCESS);
            assert_eq!(DispatcherHeader::at(address).signal_state().expect("its own"), 0);
            // Owned still, and the driver may be waiting.
            application.close(kernel, mutant);
            assert_eq!(application.release(kernel, mutant), Err(abi::STATUS_INVALID_HANDLE));
            application.end_thread(kernel);
        });
        machine.join();
        assert_eq!(left(machine), 0);
        assert_eq!(machine.stop_code(), None);
    });
}
