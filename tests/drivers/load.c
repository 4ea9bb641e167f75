// load.sys: what is timed when loading is timed. It makes a device and a link and takes them away again. Written without
// the driver headers, so that the same source also becomes a Linux shared object (benches/native/dlopen.c).
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifdef _WIN32
#define IMPORT __declspec(dllimport)
#define EXPORT
#else
#define IMPORT
#define EXPORT __attribute__((visibility("default")))
#define __stdcall
#endif

struct unicode_string {
    u16 length, maximum;
    u32 padding;
    const u16 *buffer;
};

IMPORT u32 __stdcall IoCreateDevice(void *driver, u32 extension, struct unicode_string *name, u32 type, u32 flags, u8 exclusive,
                                    void **device);
IMPORT void __stdcall IoDeleteDevice(void *device);
IMPORT u32 __stdcall IoCreateSymbolicLink(struct unicode_string *link, struct unicode_string *name);
IMPORT u32 __stdcall IoDeleteSymbolicLink(struct unicode_string *link);
IMPORT void __stdcall IofCompleteRequest(void *irp, char boost);
IMPORT void __stdcall RtlInitUnicodeString(struct unicode_string *string, const u16 *text);

// Offsets in DRIVER_OBJECT and IRP, as the public headers have them.
#define DRIVER_UNLOAD 0x68
#define MAJOR_FUNCTION 0x70
#define DEVICE_OBJECT 0x08
#define IO_STATUS 0x30

static struct unicode_string link_name;

static u32 __stdcall answer(void *device, void *irp) {
    (void)device;
    *(u32 *)((u8 *)irp + IO_STATUS) = 0;
    *(u64 *)((u8 *)irp + IO_STATUS + 8) = 0;
    IofCompleteRequest(irp, 0);
    return 0;
}

static void __stdcall unload(void *driver) {
    IoDeleteSymbolicLink(&link_name);
    IoDeleteDevice(*(void **)((u8 *)driver + DEVICE_OBJECT));
}

EXPORT u32 __stdcall DriverEntry(void *driver, struct unicode_string *path) {
    (void)path;
    struct unicode_string name;
    void *device;
    RtlInitUnicodeString(&name, u"\\Device\\RbLoad");
    RtlInitUnicodeString(&link_name, u"\\??\\RbLoad");
    u32 status = IoCreateDevice(driver, 64, &name, 0x22, 0, 0, &device);
    if (status != 0)
        return status;
    status = IoCreateSymbolicLink(&link_name, &name);
    if (status != 0) {
        IoDeleteDevice(device);
        return status;
    }
    for (int major = 0; major < 28; major++)
        ((void **)((u8 *)driver + MAJOR_FUNCTION))[major] = (void *)answer;
    *(void **)((u8 *)driver + DRIVER_UNLOAD) = (void *)unload;
    return 0;
}
