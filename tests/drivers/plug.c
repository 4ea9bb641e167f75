// plug.sys: a driver of Plug and Play devices that keeps what it is asked, and misbehaves when told to. As a function
// driver and as its own filter. The cases are described in cases.h.
#define CASE_DEVICE L"RbPlug"
#define DriverEntry case_entry
#include "case_driver.h"
#undef DriverEntry

#define MAX_TRACE 64

struct plug {
    struct extension common;
    ULONG number;
    DEVICE_OBJECT *physical, *lower, *self;
    PIO_WORKITEM item;
    IRP *held;
};

static ULONG mode, traced;
static ULONG64 trace[MAX_TRACE];
static struct plug *plugs[4];
static ULONG shutdown_order;

static void keep(struct plug *plug, IRP *irp, ULONG up, UCHAR major, UCHAR minor) {
    if (traced < MAX_TRACE)
        trace[traced++] = (ULONG64)(ULONG)irp->IoStatus.Status << 32 | plug->number << 24 | up << 16 | major << 8 | minor;
}

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static NTSTATUS NTAPI came_up(DEVICE_OBJECT *device, IRP *irp, PVOID context) {
    UNREFERENCED_PARAMETER(device);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    if (irp->PendingReturned)
        IoMarkIrpPending(irp);
    keep(context, irp, 1, location->MajorFunction, location->MinorFunction);
    return STATUS_SUCCESS;
}

static NTSTATUS pass(struct plug *plug, IRP *irp) {
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, came_up, plug, TRUE, TRUE, TRUE);
    return IoCallDriver(plug->lower, irp);
}

static VOID NTAPI start_later(DEVICE_OBJECT *device, PVOID context) {
    UNREFERENCED_PARAMETER(device);
    struct plug *plug = context;
    IoFreeWorkItem(plug->item);
    pass(plug, plug->held);
}

static NTSTATUS remove(struct plug *plug, IRP *irp) {
    irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(irp);
    NTSTATUS status = IoCallDriver(plug->lower, irp);
    if (mode == PLUG_STAYS_ATTACHED)
        return status;
    plugs[plug->number] = NULL;
    IoDetachDevice(plug->lower);
    IoDeleteDevice(plug->self);
    return status;
}

static NTSTATUS NTAPI plug_and_play(DEVICE_OBJECT *device, IRP *irp) {
    struct plug *plug = device->DeviceExtension;
    UCHAR minor = IoGetCurrentIrpStackLocation(irp)->MinorFunction;
    if (!plug->lower)
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    keep(plug, irp, 0, IRP_MJ_PNP, minor);
    if (plug->number == 0) {
        if (minor == IRP_MN_START_DEVICE && mode == PLUG_FAILS_START)
            return complete(irp, STATUS_DEVICE_CONFIGURATION_ERROR, 0);
        if (minor == IRP_MN_START_DEVICE && mode == PLUG_PENDS_START) {
            plug->item = IoAllocateWorkItem(device);
            plug->held = irp;
            IoMarkIrpPending(irp);
            IoQueueWorkItem(plug->item, start_later, DelayedWorkQueue, plug);
            return STATUS_PENDING;
        }
        if (minor == IRP_MN_STOP_DEVICE && mode == PLUG_KEEPS_STOP)
            return complete(irp, STATUS_SUCCESS, 0);
        if (minor == IRP_MN_QUERY_REMOVE_DEVICE && mode == PLUG_FORGETS_QUERY)
            return STATUS_SUCCESS;
    }
    if (minor == IRP_MN_REMOVE_DEVICE)
        return remove(plug, irp);
    return pass(plug, irp);
}

static NTSTATUS NTAPI power(DEVICE_OBJECT *device, IRP *irp) {
    struct plug *plug = device->DeviceExtension;
    if (!plug->lower)
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    keep(plug, irp, 0, IRP_MJ_POWER, IoGetCurrentIrpStackLocation(irp)->MinorFunction);
    PoStartNextPowerIrp(irp);
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, came_up, plug, TRUE, TRUE, TRUE);
    return PoCallDriver(plug->lower, irp);
}

static NTSTATUS NTAPI shutting_down(DEVICE_OBJECT *device, IRP *irp) {
    struct extension *extension = device->DeviceExtension;
    shutdown_order = shutdown_order * 10 + (extension->lower ? 2 : 1);
    return complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *physical) {
    DEVICE_OBJECT *device;
    ULONG number = 0;
    while (number < ARRAYSIZE(plugs) - 1 && plugs[number])
        number++;
    NTSTATUS status = IoCreateDevice(driver, sizeof(struct plug), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    struct plug *plug = device->DeviceExtension;
    plugs[number] = plug;
    *plug = (struct plug){.common.lower = TRUE, .number = number, .physical = physical, .self = device};
    plug->lower = IoAttachDeviceToDeviceStack(device, physical);
    device->Flags |= DO_POWER_PAGABLE;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static void set_mode(struct case_context *context) {
    mode = (ULONG)context->input[0];
    traced = 0;
}

static void tell(struct case_context *context) {
    for (ULONG i = 0; i < traced; i++)
        note(context, trace[i]);
    traced = 0;
}

static void ask(struct case_context *context) {
    if (context->input[0])
        IoRequestDeviceEject(plugs[0]->physical);
    else
        IoInvalidateDeviceRelations(plugs[0]->physical, BusRelations);
}

static const GUID class = {0x5b7c1a3e, 0x2c64, 0x4d0f, {1, 2, 3, 4, 5, 6, 7, 8}};

static void device_interface(struct case_context *context) {
    UNICODE_STRING name, slash = RTL_CONSTANT_STRING(L"a\\b"), reference = RTL_CONSTANT_STRING(L"port");
    UNICODE_STRING unknown = RTL_CONSTANT_STRING(L"\\??\\ROOT#NONE");
    PWSTR list;
    HANDLE key;
    DEVICE_OBJECT *physical = plugs[0]->physical;
    note(context, (ULONG)IoRegisterDeviceInterface(context->device, &class, NULL, &name));
    note(context, (ULONG)IoRegisterDeviceInterface(physical, &class, &slash, &name));
    note(context, (ULONG)IoRegisterDeviceInterface(physical, &class, &reference, &name));
    note(context, (ULONG)IoSetDeviceInterfaceState(&unknown, TRUE));
    note(context, (ULONG)IoSetDeviceInterfaceState(&name, FALSE));
    note(context, (ULONG)IoGetDeviceInterfaces(&class, NULL, 0, &list));
    note(context, list[0]);
    ExFreePool(list);
    note(context, (ULONG)IoSetDeviceInterfaceState(&name, TRUE));
    note(context, (ULONG)IoSetDeviceInterfaceState(&name, TRUE));
    note(context, (ULONG)IoGetDeviceInterfaces(&class, physical, 0, &list));
    // One name, and the end of the list behind it.
    note(context, RtlEqualMemory(list, name.Buffer, name.Length) && !list[name.Length / 2] && !list[name.Length / 2 + 1]);
    ExFreePool(list);
    note(context, (ULONG)IoOpenDeviceInterfaceRegistryKey(&name, KEY_READ, &key));
    ZwClose(key);
    note(context, (ULONG)IoSetDeviceInterfaceState(&name, FALSE));
    RtlFreeUnicodeString(&name);
}

static void property(struct case_context *context) {
    WCHAR text[64];
    ULONG length = 0;
    HANDLE key;
    DEVICE_OBJECT *physical = plugs[0]->physical;
    note(context, (ULONG)IoGetDeviceProperty(physical, DevicePropertyEnumeratorName, sizeof text, text, &length));
    note(context, length);
    note(context, (ULONG)IoGetDeviceProperty(physical, DevicePropertyHardwareID, 4, text, &length));
    note(context, length);
    note(context, (ULONG)IoGetDeviceProperty(physical, DevicePropertyFriendlyName, sizeof text, text, &length));
    note(context, (ULONG)IoGetDeviceProperty(context->device, DevicePropertyHardwareID, sizeof text, text, &length));
    note(context, (ULONG)IoOpenDeviceRegistryKey(physical, PLUGPLAY_REGKEY_DEVICE, KEY_READ, &key));
    ZwClose(key);
}

static KEVENT powered;
static ULONG64 power_values[4];

static VOID NTAPI power_complete(DEVICE_OBJECT *device, UCHAR minor, POWER_STATE state, PVOID context, IO_STATUS_BLOCK *iosb) {
    power_values[0] = device == context;
    power_values[1] = minor;
    power_values[2] = state.DeviceState;
    power_values[3] = (ULONG)iosb->Status;
    KeSetEvent(&powered, IO_NO_INCREMENT, FALSE);
}

static void request_power(struct case_context *context) {
    DEVICE_OBJECT *physical = plugs[0]->physical;
    POWER_STATE state = {.DeviceState = PowerDeviceD3};
    KIRQL irql;
    KeInitializeEvent(&powered, SynchronizationEvent, FALSE);
    note(context, (ULONG)PoRequestPowerIrp(physical, IRP_MN_POWER_SEQUENCE, state, NULL, NULL, NULL));
    if (context->input[0])
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
    NTSTATUS status = PoRequestPowerIrp(physical, IRP_MN_SET_POWER, state, power_complete, physical, NULL);
    if (context->input[0])
        KeLowerIrql(irql);
    note(context, (ULONG)status);
    KeWaitForSingleObject(&powered, Executive, KernelMode, FALSE, NULL);
    for (int i = 0; i < 4; i++)
        note(context, power_values[i]);
    note(context, PoSetPowerState(physical, DevicePowerState, state).DeviceState);
    note(context, PoSetPowerState(physical, DevicePowerState, state).DeviceState);
}

static KEVENT told;
static LONG arrivals, removals;

static NTSTATUS NTAPI changed(PVOID structure, PVOID context) {
    DEVICE_INTERFACE_CHANGE_NOTIFICATION *notification = structure;
    UNREFERENCED_PARAMETER(context);
    InterlockedIncrement(notification->Event.Data1 == 0xcb3a4004 ? &arrivals : &removals);
    KeSetEvent(&told, IO_NO_INCREMENT, FALSE);
    return STATUS_SUCCESS;
}

static void wait_until_told(void) {
    KeWaitForSingleObject(&told, Executive, KernelMode, FALSE, NULL);
}

static void notification(struct case_context *context) {
    UNICODE_STRING name;
    PVOID entry;
    DRIVER_OBJECT *driver = context->device->DriverObject;
    arrivals = removals = 0;
    KeInitializeEvent(&told, SynchronizationEvent, FALSE);
    IoRegisterDeviceInterface(plugs[0]->physical, &class, NULL, &name);
    IoSetDeviceInterfaceState(&name, TRUE);
    note(context, (ULONG)IoRegisterPlugPlayNotification(EventCategoryDeviceInterfaceChange,
                                                        PNPNOTIFY_DEVICE_INTERFACE_INCLUDE_EXISTING_INTERFACES,
                                                        (PVOID)&class, driver, changed, NULL, &entry));
    wait_until_told();
    note(context, arrivals);
    IoSetDeviceInterfaceState(&name, FALSE);
    wait_until_told();
    note(context, removals);
    note(context, (ULONG)IoUnregisterPlugPlayNotification(entry));
    IoSetDeviceInterfaceState(&name, TRUE);
    IoSetDeviceInterfaceState(&name, FALSE);
    note(context, arrivals + removals);
    RtlFreeUnicodeString(&name);
}

static void shutdown(struct case_context *context) {
    struct extension *extension = context->device->DeviceExtension;
    if (context->input[0]) {
        note(context, shutdown_order);
        return;
    }
    // The one with the number 1 asks for the last chance, after the other.
    note(context, (ULONG)IoRegisterShutdownNotification(extension->other));
    note(context, (ULONG)IoRegisterLastChanceShutdownNotification(context->device));
}

static case_routine *const cases[] = {
    [PLUG_MODE] = set_mode,      [PLUG_TRACE] = tell,           [PLUG_INTERFACE] = device_interface,
    [PLUG_PROPERTY] = property,  [PLUG_POWER] = request_power,  [PLUG_NOTIFICATION] = notification,
    [PLUG_SHUTDOWN] = shutdown,  [PLUG_ASK] = ask,
};
static const ULONG case_count = ARRAYSIZE(cases);

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    driver->DriverExtension->AddDevice = add_device;
    driver->MajorFunction[IRP_MJ_PNP] = plug_and_play;
    driver->MajorFunction[IRP_MJ_POWER] = power;
    driver->MajorFunction[IRP_MJ_SHUTDOWN] = shutting_down;
    return case_entry(driver, path);
}
