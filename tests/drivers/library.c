// library.sys: an export driver. It remembers in its service key how often it was initialised and unloaded.
#include <ntddk.h>

#define LIBRARY __declspec(dllexport)
#include "library.h"

LIBRARY ULONG LibraryInitialized;
static ULONG calls;
static WCHAR path[256];

LIBRARY ULONG NTAPI LibraryAdd(ULONG first, ULONG second) {
    calls++;
    return first + second;
}

LIBRARY ULONG NTAPI LibraryCalls(void) { return calls; }

LIBRARY ULONG NTAPI LibraryRemembered(const WCHAR *name) {
    ULONG value = 0, none = 0;
    RTL_QUERY_REGISTRY_TABLE table[2] = {{0}};
    table[0].Flags = RTL_QUERY_REGISTRY_DIRECT;
    table[0].Name = (WCHAR *)name;
    table[0].EntryContext = &value;
    table[0].DefaultType = REG_DWORD;
    table[0].DefaultData = &none;
    table[0].DefaultLength = sizeof none;
    RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, path, table, NULL, NULL);
    return value;
}

static void count(const WCHAR *name) {
    ULONG value = LibraryRemembered(name) + 1;
    RtlWriteRegistryValue(RTL_REGISTRY_ABSOLUTE, path, name, REG_DWORD, &value, sizeof value);
}

// Fails when the value Refuse of its service key's Parameters says so.
__declspec(dllexport) NTSTATUS NTAPI DllInitialize(UNICODE_STRING *registry_path) {
    static const WCHAR below[] = L"\\Parameters";
    ULONG length = registry_path->Length / sizeof(WCHAR);
    if (KeGetCurrentIrql() != PASSIVE_LEVEL || length + ARRAYSIZE(below) > ARRAYSIZE(path))
        return STATUS_INVALID_PARAMETER;
    RtlCopyMemory(path, registry_path->Buffer, registry_path->Length);
    RtlCopyMemory(path + length, below, sizeof below);
    BOOLEAN refuse = LibraryRemembered(L"Refuse") != 0;
    path[length] = 0;
    if (refuse)
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    LibraryInitialized++;
    count(L"Initialized");
    return STATUS_SUCCESS;
}

__declspec(dllexport) NTSTATUS NTAPI DllUnload(void) {
    count(L"Unloaded");
    return STATUS_SUCCESS;
}

// Loaders do not call it for images that drivers import from.
NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path) {
    UNREFERENCED_PARAMETER(driver);
    UNREFERENCED_PARAMETER(registry_path);
    return STATUS_NOT_SUPPORTED;
}
