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
