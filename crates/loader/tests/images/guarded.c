// A load configuration as MSVC's runtime has it: a security cookie and control-flow guard pointers.
typedef unsigned long long u64;

u64 __security_cookie = 0x00002B992DDFA232;
static void check_nothing(void) {}
void (*__guard_check_icall_fptr)(void) = check_nothing;
void (*__guard_dispatch_icall_fptr)(void) = 0;

struct load_config {
    unsigned int Size, TimeDateStamp, Version, GlobalFlagsClear, GlobalFlagsSet, CriticalSectionDefaultTimeout;
    u64 fields[6];
    unsigned int ProcessHeapFlags;
    unsigned short CsdVersion, DependentLoadFlags;
    void *EditList, *SecurityCookie, *SehandlerTable;
    u64 SehandlerCount;
    void *GuardCheck, *GuardDispatch;
};

const struct load_config _load_config_used = {
    .Size = sizeof(struct load_config),
    .SecurityCookie = &__security_cookie,
    .GuardCheck = &__guard_check_icall_fptr,
    .GuardDispatch = &__guard_dispatch_icall_fptr,
};

__declspec(dllexport) u64 Cookie(void) { return __security_cookie; }
__declspec(dllexport) int CheckIsOwn(void) { return __guard_check_icall_fptr == check_nothing; }
static u64 answer(void) { return 77; }
__declspec(dllexport) u64 CallThroughDispatch(void) {
    u64 result;
    __asm__("call *%1" : "=a"(result) : "m"(__guard_dispatch_icall_fptr), "0"(answer) : "rcx", "rdx", "r8", "r9", "r10", "r11");
    return result;
}

int DriverEntry(void) { return 0; }
