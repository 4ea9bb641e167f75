// registry.sys (\\.\RbRegistry): the registry by handle and by Rtl routine. Cases: cases.h.
#define CASE_DEVICE L"RbRegistry"
#include "case_driver.h"

#define KEY_PATH L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\registry"

static NTSTATUS open_key(HANDLE *key, HANDLE root, const WCHAR *path, ACCESS_MASK access, ULONG *disposition) {
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES attributes;
    RtlInitUnicodeString(&name, path);
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, root, NULL);
    if (disposition)
        return ZwCreateKey(key, access, &attributes, 0, NULL, REG_OPTION_VOLATILE, disposition);
    return ZwOpenKey(key, access, &attributes);
}

static void keys(struct case_context *context) {
    HANDLE service, key, again;
    ULONG disposition = 0, length;
    note(context, (ULONG)open_key(&service, NULL, KEY_PATH, KEY_ALL_ACCESS, NULL));
    note(context, (ULONG)open_key(&key, service, L"Missing", KEY_READ, NULL));
    note(context, (ULONG)open_key(&key, service, L"Volatile", KEY_ALL_ACCESS, &disposition));
    note(context, disposition);
    note(context, (ULONG)open_key(&again, service, L"VOLATILE", KEY_READ, &disposition));
    note(context, disposition);

    UNICODE_STRING name;
    RtlInitUnicodeString(&name, L"Number");
    ULONG number = 77;
    note(context, (ULONG)ZwSetValueKey(again, &name, 0, REG_DWORD, &number, sizeof number));
    note(context, (ULONG)ZwSetValueKey(key, &name, 0, REG_DWORD, &number, sizeof number));
    UCHAR buffer[64];
    KEY_VALUE_PARTIAL_INFORMATION *partial = (void *)buffer;
    note(context, (ULONG)ZwQueryValueKey(again, &name, KeyValuePartialInformation, buffer, 8, &length));
    note(context, length);
    note(context, (ULONG)ZwQueryValueKey(again, &name, KeyValuePartialInformation, buffer, 14, &length));
    note(context, (ULONG)ZwQueryValueKey(again, &name, KeyValuePartialInformation, buffer, sizeof buffer, &length));
    note(context, *(ULONG *)partial->Data);
    note(context, (ULONG)ZwEnumerateValueKey(again, 1, KeyValuePartialInformation, buffer, sizeof buffer, &length));
    note(context, (ULONG)ZwDeleteKey(service));
    note(context, (ULONG)ZwDeleteKey(key));
    note(context, (ULONG)ZwQueryValueKey(again, &name, KeyValuePartialInformation, buffer, sizeof buffer, &length));
    ZwClose(again);
    ZwClose(key);
    ZwClose(service);
}

static NTSTATUS NTAPI see(PWSTR name, ULONG type, PVOID data, ULONG length, PVOID context, PVOID entry_context) {
    UNREFERENCED_PARAMETER(name);
    UNREFERENCED_PARAMETER(data);
    note(context, (ULONG64)(ULONG_PTR)entry_context * 10000 + type * 100 + length);
    return STATUS_SUCCESS;
}

static void tables(struct case_context *context) {
    ULONG start = 0, absent = 0, fallback = 5;
    UNICODE_STRING text = {0};
    RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, L"registry\\Table", L"Many", REG_MULTI_SZ, L"a\0bc\0", 12);
    RTL_QUERY_REGISTRY_TABLE table[8] = {
        {.Flags = RTL_QUERY_REGISTRY_DIRECT, .Name = L"Start", .EntryContext = &start},
        {.Flags = RTL_QUERY_REGISTRY_DIRECT, .Name = L"Absent", .EntryContext = &absent,
         .DefaultType = REG_DWORD, .DefaultData = &fallback, .DefaultLength = sizeof fallback},
        {.Flags = RTL_QUERY_REGISTRY_DIRECT, .Name = L"ImagePath", .EntryContext = &text},
        {.Flags = RTL_QUERY_REGISTRY_SUBKEY, .Name = L"Table"},
        {.QueryRoutine = see, .Name = L"Many", .EntryContext = (PVOID)1},
        {.QueryRoutine = see, .Flags = RTL_QUERY_REGISTRY_NOEXPAND, .Name = L"Many", .EntryContext = (PVOID)2},
        {.QueryRoutine = see, .Flags = RTL_QUERY_REGISTRY_TOPKEY, .Name = L"Start", .EntryContext = (PVOID)3},
    };
    note(context, (ULONG)RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, L"registry", table, context, NULL));
    note(context, start);
    note(context, absent);
    note(context, text.Length);
    RtlFreeUnicodeString(&text);

    RTL_QUERY_REGISTRY_TABLE required[2] = {
        {.Flags = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_REQUIRED, .Name = L"Absent", .EntryContext = &absent},
    };
    note(context, (ULONG)RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, L"registry", required, context, NULL));
    // RTL_QUERY_REGISTRY_TYPECHECK
    RTL_QUERY_REGISTRY_TABLE checked[2] = {
        {.Flags = RTL_QUERY_REGISTRY_DIRECT | 0x100, .Name = L"ImagePath", .EntryContext = &start,
         .DefaultType = (ULONG)REG_DWORD << 24},
    };
    note(context, (ULONG)RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, L"registry", checked, context, NULL));
    note(context, (ULONG)RtlCheckRegistryKey(RTL_REGISTRY_SERVICES, L"registry\\None"));
}

static void parameter(struct case_context *context) {
    ULONG depth = 0;
    RTL_QUERY_REGISTRY_TABLE table[2] = {
        {.Flags = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_REQUIRED, .Name = L"Depth", .EntryContext = &depth},
    };
    note(context, (ULONG)RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, L"registry\\Parameters", table, NULL, NULL));
    note(context, depth);
}

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static case_routine *const cases[] = {
    [REGISTRY_KEYS] = keys,
    [REGISTRY_TABLES] = tables,
    [REGISTRY_PARAMETER] = parameter,
};
static const ULONG case_count = ARRAYSIZE(cases);
