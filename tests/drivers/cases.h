// The drivers seh.sys, cpu.sys and stop.sys: which case each control code runs, and what it answers.
//
// Every driver makes a device \Device\NAME with the link \??\NAME (\\.\NAME for applications). A case is started with
// DeviceIoControl(CASE_CODE(n)), METHOD_BUFFERED, any access. Input: up to CASE_INPUTS 64-bit words, absent ones are 0.
// Output: one case_result; a buffer that is too small for it is answered with STATUS_BUFFER_TOO_SMALL.
//
// This header stands alone: it needs no other.
#pragma once

#define CASE_CODE(n) ((0x22u << 16) | ((0x800u + (n)) << 2))
#define CASE_INPUTS 4
#define CASE_VALUES 24

// 216 bytes, little-endian, no padding.
struct case_result {
    unsigned int size;              // 216
    unsigned int number;            // n of CASE_CODE
    unsigned int status;            // what the case concluded: 0, or an exception's code as described below
    unsigned int count;             // words of values that are in use
    unsigned long long values[CASE_VALUES];
    unsigned int executed;          // how often the case's filters were asked
    unsigned int reserved;
};

// ---- seh.sys: exceptions that the driver takes. `status` is the code of the exception it took. -------------------

// ProbeForRead of input 0 (address), input 1 (length), input 2 (alignment) under __try. A user address that is
// merely not mapped passes ProbeForRead: it checks range and alignment; the case then reads one byte.
#define SEH_PROBE_READ 0
// The same with ProbeForWrite, which touches every page.
#define SEH_PROBE_WRITE 1
// A 32-bit store to the address in input 0; the filter looks at the record. values: code, flags, number of parameters,
// operation (1), address, 1 if ExceptionAddress is the context's RIP.
#define SEH_FAULT_FILTER 2
// Fault inside two nested __finally and two __except, the inner of which declines. values: the order of execution,
// 1 inner filter, 2 outer filter, 3 inner __finally, 4 outer __finally, 5 __except block, 6 behind it.
#define SEH_FINALLY_ORDER 3
// ExRaiseStatus(input 0, or 0xC0000123 if that is 0) at the bottom of input 1 (at most 16) nested calls with __finally
// blocks. values: depth of each __finally, in the order of execution (0 is the innermost).
#define SEH_RAISE_NESTED 4
// The IRP is sent down to a second device of this driver by IoCallDriver; its dispatch routine reads address input 0;
// the __try around IoCallDriver takes the exception, and the outer dispatch routine completes the IRP.
// values: 1 inner __finally, 2 outer __except, 3 behind it.
#define SEH_CROSS_EXPORT 5
// A filter repairs the address register and continues. values: what was loaded (the word in input 0).
#define SEH_CONTINUE 6
// A filter itself faults; the exception is taken outside. values: 1 filter started.
#define SEH_FAULT_IN_FILTER 7
// A __finally block raises 0xC0000301 while 0xC0000300 is being unwound; taken by filter on 0xC0000301.
// values: 1 inner __finally, 2 outer __finally.
#define SEH_RAISE_IN_FINALLY 8
// RtlRaiseException with two parameters (inputs 0 and 1) and code 0xE0001234, continued behind the call by the filter.
// values: both parameters as the filter saw them, 3 behind the call.
#define SEH_RAISE_EXCEPTION 9
// Integer division by zero; status 0xC0000094.
#define SEH_DIVIDE 10
// A call through a pointer to user address 0x40; status 0xC0000005, values: operation (8 on execution), address.
#define SEH_CALL_NOWHERE 11
// ExRaiseAccessViolation and ExRaiseDatatypeMisalignment. values: the two codes.
#define SEH_RAISE_FIXED 12
// A __try block that ends, and one that is left by return: their __finally blocks run.
// values: 1 in the block, 0 (AbnormalTermination at its end), then what it says for the return.
#define SEH_LEAVE 13
// Input 0 times: raise and take STATUS_UNSUCCESSFUL. values: how many were taken.
#define SEH_LOOP 14
// RtlLookupFunctionEntry and RtlPcToFileHeader of an address in the driver. values: 1 if an entry was found, 1 if both
// bases agree, 1 if the base starts with "MZ".
#define SEH_LOOKUP 15
// memcpy, called under __try, from input 0 (16 bytes): an export's own fault is the caller's exception.
#define SEH_COPY 16

// ---- cpu.sys: instructions that only kernel code executes. `status` 0 unless said otherwise. -----------------------

// values: CR8 now, CR8 after `mov cr8, 2`, KeGetCurrentIrql() then, CR8 after `mov cr8, old`.
#define CPU_CR8 0
// values: gs:[188h], KeGetCurrentThread(), gs:[18h] - the processor block's own address -, gs:[184h] and the number
// that KeGetCurrentProcessorNumberEx reports.
#define CPU_GS 1
// Loads from KUSER_SHARED_DATA, 0xFFFFF78000000000. values: InterruptTime (8h), SystemTime (14h), NtMajorVersion (26Ch),
// NtMinorVersion (270h), TickCount (320h), the byte ProcessorFeatures[10] (27Eh), SystemTime by KeQuerySystemTimePrecise.
#define CPU_SHARED_DATA 2
// int 3 under __try: status 0x80000003. values: 1 if ExceptionAddress is the instruction.
#define CPU_BREAKPOINT 3
// int 2Ch: status 0xC0000420. values as above.
#define CPU_ASSERTION 4
// rdmsr (input 0 = 0), wrmsr (1), in (2), out (3), hlt (4), cli (5), sti (6), mov from cr3 (7): status 0xC0000096.
#define CPU_PRIVILEGED 5
// Reads CR8 input 0 times (for timing). values: the sum.
#define CPU_CR8_LOOP 6
// Reads InterruptTime input 0 times (for timing). values: the number of reads that went backwards.
#define CPU_SHARED_DATA_LOOP 7
// Loads input 0 times from ordinary memory (for timing). values: the sum, 0.
#define CPU_LOAD_LOOP 8
// Loads NtMajorVersion (26Ch) input 0 times (for timing). values: the sum.
#define CPU_SHARED_LOAD_LOOP 9

// ---- irql.sys (\\.\RbIrql): what `mov cr8, register` sets going. ---------------------------------------------------

// A DPC is queued at DISPATCH_LEVEL, and CR8 lowered to PASSIVE_LEVEL with every register set. values: 1 if the DPC had
// not run before, 1 if it had run behind the instruction, the IRQL in the DPC, the number of registers that changed,
// 1 if the flags changed, CR8 afterwards.
#define IRQL_DPC 0
// Input 0 times: raise to DISPATCH_LEVEL, add one to a counter that all threads share (not atomically), lower. values:
// the counter.
#define IRQL_COUNT 1
// As IRQL_DPC, and the DPC stops the machine by touching user address 0x30: stop D1h.
#define IRQL_DPC_FAULT 2

// ---- init.sys (\\.\RbInit): code that NT discards when DriverEntry has returned. -----------------------------------------

// values: 42, which DriverEntry computed there.
#define INIT_VALUE 0
// Calls it again, under __try: stop 50h at its address.
#define INIT_CALL 1

// ---- stop.sys: what stops the machine. None of these answers; each would store 1 into values[0] if a handler ran. ---

// int 29h with the reason in input 0: stop 139h, parameter 1 the reason.
#define STOP_FAST_FAIL 0
// Read of user address input 0 outside of any __try, but inside a __finally that must not run: stop 1Eh.
#define STOP_UNHANDLED 1
// ExRaiseStatus(0xC0000010) that nobody takes: stop 1Eh, parameter 1 the code.
#define STOP_RAISE 2
// Read of system address input 0 inside __try: stop 50h.
#define STOP_SYSTEM_ADDRESS 3
// Read of user address input 0 inside __try at DISPATCH_LEVEL: stop D1h.
#define STOP_AT_DISPATCH 4
// Write to the driver's own code inside __try: stop BEh.
#define STOP_WRITE_CODE 5
// Endless recursion: stop 7Fh, parameter 1 is 8.
#define STOP_RECURSION 6

// ---- wrong.sys (\\.\RbWrong): what drivers do wrong. Not answered with a case_result; inputs are words as above. ----

// KeBugCheckEx(inputs 0 to 3, 0x1234).
#define WRONG_BUG_CHECK 0
// Completes its request twice: stop 44h.
#define WRONG_COMPLETE_TWICE 1
// Marks its request pending and never completes it.
#define WRONG_PEND 2
// Returns input 0 without completing or marking the request.
#define WRONG_FORGET 3
// Completes, and returns at DISPATCH_LEVEL: stop 4Ah.
#define WRONG_STAY_RAISED 4
// Frees a block twice: stop C2h.
#define WRONG_FREE_TWICE 5
// Frees address input 0: stop C2h.
#define WRONG_FREE_STRAY 6
// Frees a block with another tag than its own: stop C2h.
#define WRONG_FREE_OTHER_TAG 7
// Writes one byte behind a block of input 0 bytes (100 if that is 0) and frees it: stop 19h.
#define WRONG_OVERRUN 8
// Writes to address input 0: stop 1Eh, 50h for system addresses.
#define WRONG_WRITE 9
// Frees the request's system buffer: stop C2h.
#define WRONG_FREE_SYSTEM_BUFFER 10
// Writes one byte behind the request's system buffer, which is as long as the output.
#define WRONG_OVERRUN_SYSTEM_BUFFER 11
// Jumps to address input 0.
#define WRONG_JUMP 12
// Returns to address input 0.
#define WRONG_RETURN_ASTRAY 13
// Loads RSP with input 0 and pushes.
#define WRONG_LOSE_STACK 14
// Makes input 0 the dispatch routine for IRP_MJ_READ.
#define WRONG_ROUTINE 15
// Deletes a device twice.
#define WRONG_DELETE_TWICE 16
// IoCallDriver with device object input 0.
#define WRONG_CALL_NO_DEVICE 17
// IoCallDriver of a second device although no stack location is left: stop 35h.
#define WRONG_CALL_WITHOUT_LOCATION 18
// IoCompleteRequest of IRP input 0.
#define WRONG_COMPLETE_NO_IRP 19
// Waits for an event that nobody sets.
#define WRONG_WAIT 20
// Fills the output with ABh and reports input 0 bytes.
#define WRONG_INFORMATION 21
// ObDereferenceObject of address input 0: stop 18h.
#define WRONG_DEREFERENCE 22
// Writes input 0 bytes over a device extension of 16 and deletes the device: stop 19h.
#define WRONG_OVERRUN_EXTENSION 23
// Fills the output with ABh, completes with status input 0 and returns status input 1.
#define WRONG_ANSWER 24
// Writes word input 2 (the object's address if that is WRONG_ITSELF) at offset input 1 of an object, and completes. Input
// 0: 0 the IRP, 1 its stack location, 2 the device, 3 the driver, 4 the file, 5 the thread, 6 and 7 the extensions that
// the kernel gives to devices and drivers.
#define WRONG_SCRIBBLE 25
#define WRONG_ITSELF 0x17500000000
// Allocates 100 bytes and frees them: at IRQL input 2 both, or, with input 0, only the second. Input 1: the POOL_TYPE.
#define WRONG_POOL_AT_RAISED_IRQL 26

// ---- fail.sys: what DriverEntry does depends on the service's name. ------------------------------------------------

// fail: leaves a device, a link and two blocks of pool ('Fail', 5100 bytes), and returns STATUS_UNSUCCESSFUL.
// fail_by_fault: writes to address 0. fail_by_bug_check: KeBugCheckEx(0xDEAD, 1, 2, 3, 4). fail_to_unload: succeeds
// without a DriverUnload. Any other: STATUS_UNSUCCESSFUL, nothing left.

// ---- life.sys (\\.\RbLife, and \\.\RbLifeOnly, which is exclusive): which requests a driver gets. ------------------

// CREATE of `\refuse` fails with STATUS_SHARING_VIOLATION, of `\collide` with STATUS_OBJECT_NAME_COLLISION, of `\warn` it
// ends with STATUS_BUFFER_OVERFLOW. IRP_MJ_READ is
// not set.

struct life_string {
    unsigned short length;          // bytes
    unsigned short maximum_length;
    unsigned short characters[126]; // the first of them
};

// 304 bytes.
struct life_event {
    unsigned char major;
    unsigned char requestor_mode;
    unsigned char irql;
    unsigned char device;           // 1 for the exclusive one
    unsigned int flags;             // Irp->Flags
    unsigned int process;
    unsigned int file_flags;
    unsigned long long file;        // address of the file object
    unsigned int file_device;       // 1 if FileObject->DeviceObject is the device
    unsigned int options;           // of CREATE
    unsigned int share;
    unsigned int access;
    struct life_string name;        // FileObject->FileName
    unsigned int reserved[2];
};

// What DriverEntry was given.
struct life_entry {
    unsigned int size;
    unsigned int irql;
    unsigned int process;
    unsigned int type;
    unsigned int object_size;
    unsigned int driver_size;
    unsigned char starts_at_image;
    unsigned char init_is_entry;
    unsigned char extension_points_back;
    unsigned char fields_are_null;
    unsigned char majors_are_equal;
    unsigned char reserved[3];
    struct life_string path;
    struct life_string name;
    struct life_string service;
    struct life_string hardware;
};

// The requests so far: an array of life_event.
#define LIFE_EVENTS CASE_CODE(0)
// A life_entry.
#define LIFE_ENTRY CASE_CODE(1)
// Forgets the requests so far.
#define LIFE_FORGET CASE_CODE(2)
// Deletes the exclusive device.
#define LIFE_DELETE_DEVICE CASE_CODE(3)

// ---- lacking.sys (\Device\RbLacking): imports PsSuspendProcess and PsResumeProcess, which are not implemented. -----

// A read calls the first under __try and ends with what it raised; a write calls the second without.
// unknown.sys imports PsSuspendProcess and RbNoSuchExport.

// ---- threads.sys: system threads. `status` is 0 unless said otherwise. ---------------------------------------------

// A thread says (values) its IRQL, its process, and whether it is a system thread, and ends. Then: the statuses of waiting
// for an event that it sets, for the thread and for the thread again; 1 if it is another thread than the caller's; whether
// the caller's is a system thread.
#define THREADS_EVENT 0
// A thread ends itself by PsTerminateSystemThread(input 0) inside a __try with __finally. values: the status of waiting for
// it; 9x would be what must not run.
#define THREADS_TERMINATE 1
// PsTerminateSystemThread in the application's own thread: status 0xC000000D.
#define THREADS_TERMINATE_OTHER 2
// A thread takes input 0 faults. values: how many.
#define THREADS_EXCEPTIONS 3
// A thread writes to address input 0, taken by nobody; the caller waits meanwhile: stop 1Eh.
#define THREADS_FAULT 4
// Input 0 threads count up input 1 times each under a spin lock, and under a mutex. values: threads, both sums.
#define THREADS_LOCKS 5
// Waits input 0 units of 100 ns for what never comes: status 0x102. values: how long it took.
#define THREADS_TIME_OUT 6
// Starts a thread that runs on when the driver is unloaded.
#define THREADS_ORPHAN 7
// A thread's handle that is a kernel handle. values: whether it is negative, as a user mode handle the status of a reference,
// as the kernel's own its status, whether the object is the thread's, status of closing, of a reference after that.
#define THREADS_HANDLE 8
// Pended; a system thread completes it with the complement of the input, as many bytes as the output is long.
#define THREADS_PEND CASE_CODE(64)
// The same; the dispatch routine returns STATUS_PENDING only when the request has been completed.
#define THREADS_PEND_AND_WAIT CASE_CODE(65)

// ---- stacks.sys (\\.\RbStacks): device stacks. Devices 1 (the bottom), 2 and 3; \\.\RbBase is made by a case. -------

// Attaches two devices to a third, looks at all of them, detaches. values: as the driver notes them, 1 for true.
#define STACKS_ATTACH 0
// A request through three devices. values: the devices on its way down, then 100 plus those on its way up (and 1000
// when a completion routine was given another device than its own). status: what IoCallDriver returned.
#define STACKS_TRAVEL 1
// Makes \\.\RbBase, which answers control codes with the number of requests that it has seen.
#define STACKS_MAKE_BASE 2
// Removes it. values: its creates, cleanups, closes.
#define STACKS_REMOVE_BASE 3
// Attaches a filter by IoAttachDevice to \Device\RbBase (input 0), \Device\My_Device (1), a device that is not (2).
#define STACKS_FILTER 4
// Removes it. values: its requests, its creates.
#define STACKS_REMOVE_FILTER 5
// Deletes a device while another is attached to it, and attaches to a deleted device.
#define STACKS_DELETE_BELOW 6
// IoGetDeviceObjectPointer of a device with another above it.
#define STACKS_POINTER 7
// Drops the last reference to a file at DISPATCH_LEVEL, then one by ObDereferenceObjectDeferDelete. values: references left,
// 1 if it was closed by this thread, closes in the end; closes in the end.
#define STACKS_DEREFERENCE_RAISED 8
// A request that the bottom pends and completes later; the device above it (input 0) gives up its location (0), has no
// completion routine (1), has one that marks the IRP pending (2), has one that does not (3). With 4 the bottom answers at
// once. status: what IoCallDriver returned. values: PendingReturned as the sender's routine sees it.
#define STACKS_PENDING 9
// A control request of a file after its CLEANUP. values: cleanups and closes before; what IoCallDriver returned, requests,
// cleanups and closes behind it; closes when the file has gone.
#define STACKS_AFTER_CLEANUP 10

// ---- irps.sys (\\.\RbIrps): IRPs that a driver makes. ---------------------------------------------------------------

// A driver's own IRP: allocated, sent, kept by its completion routine, reused, sent, freed.
#define IRPS_OWN 0
// A master IRP with input 0 associated IRPs. values: how often its completion routine ran after each of them, its status.
#define IRPS_ASSOCIATED 1
// IoBuildDeviceIoControlRequest, METHOD_BUFFERED. Input 0: 0 answered at once, 1 pended and completed by a DPC, 2 refused
// at once, 3 pended and refused by a DPC. values: what IoCallDriver returned, the event's state then, the status block's
// status and information in the end, the first output byte, the byte behind what the driver below has filled.
#define IRPS_CONTROL 2
// IoBuildSynchronousFsdRequest; input 0: the device's flags (DO_BUFFERED_IO or none). values: status and information of a
// write, what the device saw (sum of its bytes, whether it was the caller's buffer, whether an MDL had locked it, the
// offset), the same of a read.
#define IRPS_SYNCHRONOUS 3
// IoBuildAsynchronousFsdRequest, freed in its completion routine; input 0: the device's flags. values: irp was buffered, status, information.
#define IRPS_ASYNCHRONOUS 4
// What cannot be built. values: 1 for each NULL.
#define IRPS_UNBUILDABLE 5
// Completes an own IRP that no completion routine keeps: stop 0Ah.
#define IRPS_NOT_KEPT 6
// Frees a request of IoBuildDeviceIoControlRequest: stop C9h.
#define IRPS_FREE_THREADED 7
// Allocates an IRP and leaves it.
#define IRPS_LEAK 8
// Keeps the completion of a request of its own and completes it again. values: runs of the completion routine, the
// event's state before and after the second completion.
#define IRPS_COMPLETE_LATER 9
// Frees an IRP twice: stop C2h.
#define IRPS_FREE_TWICE 10
// IoBuildDeviceIoControlRequest, METHOD_IN_DIRECT and METHOD_OUT_DIRECT. values of each: what IoCallDriver returned,
// information, what the device saw (sum of its bytes, whether it was the caller's buffer, 1 if its pages were locked plus 10
// if for writing); then the last byte.
#define IRPS_DIRECT 11
// A request that is pended and completed while the thread that built it cannot take special APCs. Input 0: 0 at APC_LEVEL,
// 1 in a guarded region, 2 in a critical region. values: the status of waiting for its event there, the event's state and
// the status block's status there, both after that.
#define IRPS_HELD_UP 12
// Marks an own IRP pending in its completion routine, where no location of it is left, and frees it: stop 19h.
#define IRPS_MARK_OWN 13

// ---- cancel.sys (\\.\RbCancel): cancelling. -------------------------------------------------------------------------

// IoCancelIrp of own IRPs, without and with a cancel routine.
#define CANCEL_OWN 0
// Pends the request, with a cancel routine that completes it. No answer otherwise.
#define CANCEL_PEND 1
// A cancel-safe queue, with all that can happen to an IRP in it.
#define CANCEL_QUEUE 2
// The same with IoCsqInitializeEx: an insert routine that refuses.
#define CANCEL_QUEUE_EX 3
// values: runs of the cancel routine of CANCEL_PEND, its IRQL, IRQL behind the release, cleanups and closes so far.
#define CANCEL_COUNTS 4
// IoCancelIrp of an IRP that is completed to its end and has a cancel routine: stop 48h.
#define CANCEL_COMPLETED 5
// Acquires and releases the cancel spin lock. values: old IRQL, IRQL with it, IRQL after.
#define CANCEL_SPIN_LOCK 6

// ---- race.sys (\\.\RbRace): requests completed by a thread that is started for them. ---------------------------------

// values: threads that have ended.
#define RACE_ENDED 0
// Starts the thread, which completes the request with bytes A5h, and then marks the IRP pending. Input 1: only when the
// thread has completed it, which otherwise is chance.
#define RACE_MARKED_LAST CASE_CODE(64)
// The same with the IRP marked first. Input 1: STATUS_PENDING is returned only when the thread has completed it.
#define RACE_MARKED_FIRST CASE_CODE(65)

// ---- queues.sys (\\.\RbQueues): device queues, StartIo, remove locks, work items, shutdown. --------------------------

// A device queue, with and without keys.
#define QUEUES_DEVICE_QUEUE 0
// Four requests for StartIo, the third cancelled while it is queued. Input 0: deferred StartIo. values: for each call of
// StartIo the request's number * 100 + nesting * 10 + IRQL, and 1 if it was current and no longer cancelable.
#define QUEUES_START_IO 1
// A remove lock, acquired twice and waited for.
#define QUEUES_REMOVE_LOCK 2
// Work items of all three kinds.
#define QUEUES_WORK 3
// A work item that returns at DISPATCH_LEVEL: stop E1h.
#define QUEUES_RAISED_WORK 4
// First: registers two devices for shutdown. Then values: as which of them each was told.
#define QUEUES_SHUTDOWN 5
// A KQUEUE. values: what KeInsertQueue, KeInsertHeadQueue and KeReadStateQueue return, the numbers of the two entries in the order of
// KeRemoveQueue, what an empty queue answers, the number of the entry that KeRundownQueue returns, 1 if it is a ring of one.
#define QUEUES_KQUEUE 6

// ---- wdm.sys (\\.\RbWdm): AddDevice, extensions of the driver object, reinitialisation. ------------------------------

struct wdm_record {
    unsigned int add_calls;
    unsigned int add_irql;
    unsigned int physical_flags;
    unsigned int physical_stack_size;
    unsigned int lower_is_physical;
    unsigned int stack_size;
    // Statuses of allocating an extension, another, and the first again; 1 if what is found is right.
    unsigned int first_status;
    unsigned int second_status;
    unsigned int third_status;
    unsigned int found;
    // Calls of the reinitialisation routine before DriverEntry has returned and until now, and what the last was given.
    unsigned int again_calls_at_entry;
    unsigned int again_calls;
    unsigned int again_count;
    unsigned int again_context;
};

// The record.
#define WDM_RECORD CASE_CODE(0)
// From now on AddDevice fails with STATUS_NO_SUCH_DEVICE.
#define WDM_REFUSE CASE_CODE(1)
// Detaches and deletes the devices that AddDevice has made.
#define WDM_REMOVE CASE_CODE(2)

// ---- pnp.sys: requests of the Plug and Play and power managers; device \\.\RbPnp. ----------------------------------

// Opens \Device\RbTower and sends a request of major function input 0 and minor function input 1 to the top of its
// stack, with STATUS_NOT_SUPPORTED as these managers do. values: its status.
#define PNP_SEND 0

// ---- plug.sys: a function driver of Plug and Play devices, and its own filter; device \\.\RbPlug. ----------------------

// From now on the function device (number 0) behaves as input 0 says, and the trace begins anew.
#define PLUG_MODE 0
#define PLUG_FAILS_START 1
#define PLUG_PENDS_START 2
#define PLUG_KEEPS_STOP 3
#define PLUG_FORGETS_QUERY 4
#define PLUG_STAYS_ATTACHED 5
// values: what came to its devices since the last time: status before or after, number of the device, 1 on the way up,
// major and minor function, in 32, 8, 8, 8 and 8 bits from the top.
#define PLUG_TRACE 1
// IoRegisterDeviceInterface of what is no physical device, with a separator in the reference string, and of a good one;
// IoSetDeviceInterfaceState of an unknown one, FALSE before TRUE; IoGetDeviceInterfaces while none is enabled, and the
// first unit of its list; TRUE, TRUE again; the list of one, and whether it is right; its key; FALSE. values: all statuses.
#define PLUG_INTERFACE 2
// IoGetDeviceProperty of the enumerator's name and its bytes, of the hardware ID into four bytes and its bytes, of a name
// that there is none of, of what is no physical device; IoOpenDeviceRegistryKey. values: statuses and lengths.
#define PLUG_PROPERTY 3
// PoRequestPowerIrp of another minor function, and of D3, at DISPATCH_LEVEL if input 0; what its completion function got:
// whether device and context are right, minor function, state, status; PoSetPowerState twice. values: all of that.
#define PLUG_POWER 4
// IoRegisterPlugPlayNotification with an interface that is there; how often it told of an arrival; of a removal after
// that; IoUnregisterPlugPlayNotification; how often all in all after two more changes.
#define PLUG_NOTIFICATION 5
// With input 0: registers a second device for shutdown, then the first for the last chance. values: the statuses. Else the
// devices' numbers in the order of their IRP_MJ_SHUTDOWN, as decimal digits.
#define PLUG_SHUTDOWN 6
// IoInvalidateDeviceRelations of the bus relations; IoRequestDeviceEject if input 0.
#define PLUG_ASK 7

// ---- secure.sys: descriptors, tokens and access checks; device \\.\RbSecure. ------------------------------------

// A list that lets Users read (FILE_GENERIC_READ) is made with Rtl routines, and SeAccessCheck asked for the rights in
// input 0 in the mode of input 1, with the token of the calling process. status: AccessStatus. values: what it returned,
// GrantedAccess.
#define SECURE_CHECK 0
// ObOpenObjectByPointer of the driver's device and ZwSetSecurityObject of a list with the system alone; then
// ZwQuerySecurityObject without room, and with it. status: the first status that is no success. values: status without
// room, 1 if the length asked for was then enough, 1 if the descriptor is self-relative.
#define SECURE_PROTECT 1
// IoCreateDeviceSecure by MmGetSystemRoutineAddress: \\.\RbSecured with the system alone; opened in kernel mode by
// IoGetDeviceObjectPointer. status: that of the creation. values: status of the open, status of a creation with a text
// that is no descriptor, status of one without a name.
#define SECURE_CREATE 2
// Deletes it. values: none.
#define SECURE_DELETE 3
// values: SeTokenIsAdmin of the caller, SeSinglePrivilegeCheck in user mode of SeChangeNotifyPrivilege and of
// SeTcbPrivilege, and in kernel mode of SeTcbPrivilege.
#define SECURE_TOKEN 4
// A file is opened for reading, sharing reading; then checked for writing sharing all, for reading sharing reading, for
// reading sharing nothing; the first open removed; checked for writing. status: 0. values: the four statuses, OpenCount.
#define SECURE_SHARE 5
// What the last CREATE on \\.\RbSecure carried. values: PreviouslyGrantedAccess, OriginalDesiredAccess, the context's
// DesiredAccess, whether SeTokenIsAdmin says so of its primary token.
#define SECURE_CREATED 6
// From now on CREATE notes what SECURE_CREATED answers.
#define SECURE_WATCH 7

// ---- impersonate.sys (\\.\RbImpersonate): drivers that act for their clients. It keeps two clients, in slots 0 and 1. ---

// IoCreateDeviceSecure of \\.\RbGuarded, for administrators and the system. status: its status.
#define IMPERSONATE_GUARD 0
// Keeps the calling thread in the slot of input 0 with the level of input 1 and the flags of input 2 (1 dynamic tracking, 2
// effective only, 4 for a remote server): by SeCreateClientSecurity, or of its captured subject if input 3 is 1. status: its
// status. values: DirectlyAccessClientToken, DirectAccessEffectiveOnly, SeTokenType, whether it is the process's token.
#define IMPERSONATE_KEEP 1
// SeDeleteClientSecurity of the slot of input 0.
#define IMPERSONATE_FORGET 2
// The calling thread impersonates the client in the slot of input 0. status: SeImpersonateClientEx's. values: statuses of
// opening \\.\RbGuarded by ZwCreateFile with OBJ_FORCE_ACCESS_CHECK, without, and with it when it has reverted.
#define IMPERSONATE_ACT 3
// The same in a system thread, which then impersonates again and ends. values: behind those whether the ended thread
// impersonates.
#define IMPERSONATE_ACT_IN_THREAD 4
// The calling thread impersonates and stays so. values: as for IMPERSONATE_WHOM.
#define IMPERSONATE_STAY 5
// PsRevertToSelf.
#define IMPERSONATE_REVERT 6
// PsImpersonateClient with the token in the slot of input 0 (NULL for another number), at the level of input 1. values: as for
// IMPERSONATE_WHOM.
#define IMPERSONATE_ACT_WITH 7
// values: 0; or, when the calling thread impersonates, 1, level, copy on open, effective only, whether it is an administrator.
#define IMPERSONATE_WHOM 8
// values: PsDisableImpersonation's answer, whether the thread impersonates, status of a checked open of \\.\RbGuarded; both
// once more behind PsRestoreImpersonation.
#define IMPERSONATE_DISABLE 9
// SeCaptureSubjectContext. values: whether it has a client's token, its level, whether an administrator asks, whether the
// process is one, SeSinglePrivilegeCheck of SeCreateGlobalPrivilege in user mode.
#define IMPERSONATE_SUBJECT 10
// SeQueryInformationToken of the token in the slot of input 0. values: status and value of TokenType, of
// TokenImpersonationLevel; how many privileges it has.
#define IMPERSONATE_INFORMATION 11
// From now on CREATE notes what IMPERSONATE_CREATED answers: level, tracking, effective only of SecurityQos; whether there is a
// client's token, its level, whether an administrator asks.
#define IMPERSONATE_WATCH 12
#define IMPERSONATE_CREATED 13
// ZwOpenFile of \\.\RbImpersonate with the level of input 0, the flags of input 1 (as above) and the Length of input 2.
#define IMPERSONATE_OPEN_WITH 14

// ---- registry.sys (\\.\RbRegistry): the registry. -------------------------------------------------------------------

// Keys and values by handle. values: statuses and what was found, in the order of the source.
#define REGISTRY_KEYS 0
// RtlQueryRegistryValues and its like. values: entry * 10000 + type * 100 + length for each call of its routine, then the
// status, Start, a default, the length of ImagePath, and the statuses of a required value that is not there, of a value of
// another type, and of a key that is not there.
#define REGISTRY_TABLES 1
// values: the status of reading the parameter Depth, and it.
#define REGISTRY_PARAMETER 2

// ---- handles.sys (\\.\RbHandles): handles, references and names. -----------------------------------------------------

// ObReferenceObjectByHandle and its like with the application's handle, input 0.
#define HANDLES_REFERENCE 0
// ZwDuplicateObject in the application's process.
#define HANDLES_DUPLICATE 1
// ZwClose of a kernel handle that is none: stop 93h.
#define HANDLES_CLOSE_KERNEL 2
// Symbolic links and events by name.
#define HANDLES_NAMES 3
// Opens \\.\My_Device of hello.sys, reads and controls.
#define HANDLES_FILES 4

// ---- events.sys (\\.\RbEvents): named events, and who may do what with them. ------------------------------------------

// Makes \BaseNamedObjects\RbMade, a synchronization event that is not signaled, in the way of input 0. values: the status.
#define EVENTS_MAKE 0
// Signals it. values: the status.
#define EVENTS_SET 1
// Closes it. values: the status.
#define EVENTS_FORGET 2
// Opens \BaseNamedObjects\RbTheirs for EVENT_MODIFY_STATE with the attributes of input 0, and signals it. values: both statuses.
#define EVENTS_OPEN_THEIRS 3

// Ways: ZwCreateEvent without a descriptor; IoCreateSynchronizationEvent; ZwCreateEvent with a list that lets users do
// everything, with a NULL list, with an empty list, and with a descriptor of an unknown revision.
#define EVENTS_PLAIN 0
#define EVENTS_IO 1
#define EVENTS_FOR_USERS 2
#define EVENTS_FOR_ALL 3
#define EVENTS_FOR_NOBODY 4
#define EVENTS_WRONG 5

// ---- resources.sys (\\.\RbResources): ERESOURCE. "State" is ExIsResourceAcquiredExclusiveLite, ...SharedLite. ---------

// One thread acquires, converts and releases, while another tries without waiting. values: state; three acquisitions
// (exclusive, exclusive, shared); state; exclusive, shared and starving attempts of the other; state after two releases and
// the conversion; shared and exclusive attempts; state when it is released; an exclusive attempt; the status of the deletion.
#define RESOURCES_ALONE 0
// A thread waits for exclusive access while this one has shared access. values: waiters; attempts of a third thread (shared,
// starving, behind waiters); this thread's again (shared, behind waiters); whether the waiter has got it; the same at the
// end; waiters then.
#define RESOURCES_WAITER 1
// The forms that enter and leave critical regions. values: APCs disabled, and who owns it, as the source has them.
#define RESOURCES_REGIONS 2
// An owner pointer owns it, and another thread releases it. values: state; an exclusive attempt; one after that.
#define RESOURCES_OWNER_POINTER 3
// Releases a resource that nobody owns: stop E3h.
#define RESOURCES_NOT_OWNED 4
// Calls a PASSIVE_LEVEL export at PASSIVE_LEVEL and at DISPATCH_LEVEL. values: its answers.
#define RESOURCES_ABOVE_ITS_IRQL 5

// ---- routines.sys (\\.\RbRoutines): MmGetSystemRoutineAddress. -------------------------------------------------------

// values: 1 if the routine found is the one imported; if another is found; if both spellings lead to one; what
// KeGetCurrentIrql returns that was found so; 1 for each name that leads to nothing (not implemented, unknown, empty);
// 1 if a variable found is the one imported.
#define ROUTINES_BY_NAME 0

// ---- apps.sys (\\.\RbApps): several applications at once. ------------------------------------------------------------

// 64 bytes.
struct apps_counts {
    long long creates;
    long long cleanups;
    long long closes;
    long long pending;              // requests that wait now
    long long cancelled;            // those that were cancelled
    long long wrong;                // CLEANUP or CLOSE twice, in the wrong order, or CLOSE with requests left
    long long sleeping;             // dispatch routines that sleep now
    long long reserved;
};

#define APPS_BY_PROBE 0
#define APPS_BY_LOCK 1

struct apps_follow {
    unsigned long long address;
    unsigned long long length;
    unsigned long long how;
};

// Answers how many dispatch routines sleep, eight bytes.
#define APPS_NOTHING CASE_CODE(0)
// A struct apps_counts.
#define APPS_COUNTS CASE_CODE(1)
// Pends until it is cancelled.
#define APPS_PEND CASE_CODE(2)
// Sleeps in the dispatch routine: input 0 milliseconds.
#define APPS_SLEEP CASE_CODE(3)
// KeBugCheckEx(0xE0000004).
#define APPS_STOP CASE_CODE(4)
// METHOD_NEITHER; the input is a struct apps_follow: inverts the bytes at its address, probed or locked for the
// application. What is raised ends the request.
#define APPS_FOLLOW (CASE_CODE(5) | 3)

// ---- files.sys (\\.\RbFiles): requests of drivers on files by handle. -------------------------------------------------

// A request that is pended, on a file for asynchronous I/O. Input 0: 0 read, 1 write, 2 control. Input 1: 1 with an event.
// values: what the call returned, the block's status then, waiting for the file's handle (for the event's with one) with a
// timeout of zero; the same wait without a timeout; the block's status and information; the first byte of the buffer; how a
// wait for the file's handle ends at once then.
#define FILES_PENDED 0
// A read of a file for asynchronous I/O without an offset, and with FILE_USE_FILE_POINTER_POSITION; a write so. values: what
// each returned; requests that the driver has seen; the wait for the file's handle.
#define FILES_NO_OFFSET 1
// ZwFlushBuffersFile of a file for asynchronous I/O (input 0: 0) or synchronous (1), pended; refused at once (2); pended and
// refused (3). values: what it returned, the major function seen, the block's status and information.
#define FILES_FLUSH 2
// A write and a read of a device with DO_DIRECT_IO. values of each: what it returned, information, what the device saw (sum
// of its bytes, whether it was the caller's buffer, 1 if its pages were locked plus 10 if for writing, the offset); then the
// last byte.
#define FILES_DIRECT 3
// Control requests of all four methods, in the order of their numbers. values of each: what it returned, information, what
// the device saw: whether input and output were the caller's, the sum of the input (IN_DIRECT: of the second buffer); the
// last output byte.
#define FILES_METHODS 4
// From now on the CLEANUP of this device sends a pended read by handle and waits for its event.
#define FILES_ARM 5
// values: CLEANUPs that did, what the read returned there, how the wait ended, the block's status.
#define FILES_ARMED 6
// Sends a read that is pended with a cancel routine, on a file for asynchronous I/O, and leaves it.
#define FILES_LEAVE 7
// values: the block's status of FILES_LEAVE's read, whether its event is signaled.
#define FILES_LEFT 8
// A read that is pended, with an APC routine, and a wait of input 0: 0 not alertable, 1 alertable, 2 in a critical region, 3 at
// APC_LEVEL, 4 answered at once and waited for by nobody, 5 refused at once. Input 1: 1 in a system thread. values: what the
// read returned; how the wait ended for an event that the timer's DPC sets when it has completed the read; calls of the
// routine by then; then calls behind the region; whether its arguments and thread were right; the IRQL in it; the block's
// status as it saw it.
#define FILES_APC 9
// What a file opened with the options of input 0 is: FILE_WRITE_THROUGH beside. values: mode; alignment; access; then a change
// of the position to 40, a query of it (statuses), the position; requests that the driver has seen by then; statuses of a query
// of the standard information, its information and end of file; of a class that the driver refuses; of a buffer that is too
// short; of classes 0 and 999.
#define FILES_INFORMATION 10
// FileAllInformation and IoQueryFileInformation of a file for asynchronous I/O. values: status and information, access, mode,
// alignment, end of file; status, bytes returned, end of file.
#define FILES_ALL 11
// An open relative to a file. values: its status, 1 if the driver found that file in RelatedFileObject, bytes and first
// character of FileName, 1 if RelatedFileObject is NULL behind it, bytes of the name that ObQueryNameString tells; the status
// of an open of "", bytes of FileName; of a name with a backslash in front.
#define FILES_RELATIVE 12
// IoCreateFile. values: status of an open, of a named pipe; of one with IO_FORCE_ACCESS_CHECK, the flags of the driver's stack
// location.
#define FILES_CREATE 13
// IoOpenDriverRegistryKey. values: status, 1 for a kernel handle, status of querying the value Depth, its data; status with
// flags, of an unknown type.
#define FILES_PARAMETERS 14
// A read in direct mode, on a file opened with the options of input 1, whose dispatch routine raises 0xC0000123: before it completes
// the request (input 0 is 0), behind completing it with success (1) or an error (2). values: what was raised, the block's status, how
// a wait for the event ends at once, whether the pages are locked; CLEANUPs and CLOSEs when the file is closed.
#define FILES_RAISE 15
// A read that is completed with STATUS_PENDING at once. values: what it returned, how a wait for the file ends at once.
#define FILES_AS_PENDING 16

// ---- importer.sys (\\.\RbImporter): a driver that imports from library.sys and outer.sys. ----------------------------

// values: calls of library's DllInitialize when DriverEntry ran; 1 if outer's came behind it; 2 + 3 by library, 2 + 3 + 3 by
// outer; calls of library's routine since it was loaded; its initialisations and unloads ever.
#define IMPORTER_IMPORT 0

// ---- executive.sys (\\.\RbExecutive): run-down protection and callback objects. -------------------------------------

// values: two acquisitions; whether a system thread that waits for the release is still waiting; an acquisition then; whether it
// has returned behind both releases; an acquisition; one after the reinitialisation.
#define EXECUTIVE_RUNDOWN 0
// ExCreateCallback of \Callback\RbTest. values: the status of opening it before it is made, of making it, of opening it, 1 if
// that is the same object; whether a second registration is refused; calls of the routine, its arguments, its IRQL, calls when
// it has been taken away; the status of opening \Callback\PowerState; the status of opening the name when the object has gone.
#define EXECUTIVE_CALLBACK 1
// values: ExGetPreviousMode here.
#define EXECUTIVE_MODE_HERE 2
// values: ExGetPreviousMode here, in EXECUTIVE_MODE_HERE that ZwDeviceIoControlFile asks for, here again, in a system thread.
#define EXECUTIVE_MODE 3
// values: a reader/writer spin lock acquired: the old IRQL and the IRQL then, shared; whether it becomes exclusive; the IRQL
// when it is released.
#define EXECUTIVE_SPIN_LOCK 4
