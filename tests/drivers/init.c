// init.sys: a section that is needed for initialisation only, with DriverEntry's helper and a variable in it. The cases
// are described in cases.h.
#define CASE_DEVICE L"RbInit"
#define CASE_START start
#define CASE_STOP stop
#include "case_driver.h"

#pragma comment(linker, "/SECTION:INIT,ERD")

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static NTSTATUS other_code(IRP *irp, ULONG code) {
    UNREFERENCED_PARAMETER(code);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static volatile ULONG64 initialised;

__attribute__((section("INIT"), noinline)) static ULONG64 initialise(ULONG64 value) { return value + 1; }

static NTSTATUS start(void) {
    initialised = initialise(41);
    return STATUS_SUCCESS;
}

static void stop(void) {}

static void value(struct case_context *context) { note(context, initialised); }

static void call_again(struct case_context *context) {
    note(context, (ULONG64)initialise);
    __try {
        note(context, initialise(context->input[0]));
    } __except (TAKE) {
        context->result->values[0] = 1;
    }
}

static case_routine *const cases[] = {[INIT_VALUE] = value, [INIT_CALL] = call_again};
static const ULONG case_count = ARRAYSIZE(cases);
