// importer.sys: a driver that imports from two export drivers, one of which imports from the other.
#define CASE_DEVICE L"RbImporter"
#define CASE_START began
#define CASE_STOP ended
#include "case_driver.h"
#include "library.h"

static ULONG at_entry;

static NTSTATUS began(void) {
    at_entry = LibraryInitialized;
    return STATUS_SUCCESS;
}

static void ended(void) {}

static NTSTATUS other_code(IRP *irp, ULONG code) {
    UNREFERENCED_PARAMETER(code);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static void import(struct case_context *context) {
    note(context, at_entry);
    note(context, OuterCameSecond());
    note(context, LibraryAdd(2, 3));
    note(context, OuterAddTwice(2, 3));
    note(context, LibraryCalls());
    note(context, LibraryRemembered(L"Initialized"));
    note(context, LibraryRemembered(L"Unloaded"));
}

static case_routine *const cases[] = {[IMPORTER_IMPORT] = import};
static const ULONG case_count = ARRAYSIZE(cases);
