// The unwinding services, called by driver code, and language handlers that are functions of the image itself.
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned long long u64;
typedef int status;

struct function { u32 begin, end, unwind; };
// Only what is used of CONTEXT; 1232 bytes.
struct context { u64 home[6]; u32 flags, mxcsr; u64 rest1[12]; u64 rsp, rbp; u64 rest2[10]; u64 rip; u64 rest3[122]; } __attribute__((aligned(16)));
_Static_assert(sizeof(struct context) == 1232, "CONTEXT");

__declspec(dllimport) void Note(u64 value);
__declspec(dllimport) u64 CallBack(u64 (*function)(u64), u64 argument);
__declspec(dllimport) void ExRaiseStatus(status code);
__declspec(dllimport) void RtlUnwind(void *frame, void *ip, void *record, u64 value);
__declspec(dllimport) void RtlUnwindEx(void *frame, void *ip, void *record, u64 value, struct context *context, void *history);
__declspec(dllimport) void RtlCaptureContext(struct context *context);
__declspec(dllimport) struct function *RtlLookupFunctionEntry(u64 pc, u64 *base, void *history);
__declspec(dllimport) void *RtlVirtualUnwind(u32 kind, u64 base, u64 pc, struct function *function, struct context *context,
                                             void **data, u64 *establisher, void *pointers);
__declspec(dllimport) u16 RtlCaptureStackBackTrace(u32 skip, u32 count, void **trace, u32 *hash);
__declspec(dllimport) void *RtlPcToFileHeader(void *pc, void **base);
__declspec(dllimport) int __C_specific_handler(void *record, u64 frame, void *context, void *dispatcher);

#define EXPORT __declspec(dllexport)

// Keeps the caller's frame: without it the call would be a jump.
static inline __attribute__((always_inline)) u64 returned(u64 value) {
    __asm__ volatile("" : "+r"(value));
    return value;
}

u64 target_frame, target_ip;

// u64 Catch(u64 (*function)(u64), u64 argument): where RtlUnwindEx can continue.
u64 Catch(u64 (*function)(u64), u64 argument);
__asm__(".globl Catch\n.seh_proc Catch\nCatch:\n"
        "push %rbx\n.seh_pushreg %rbx\nsub $32, %rsp\n.seh_stackalloc 32\n.seh_endprologue\n"
        "mov $0x1234, %rbx\nmov %rsp, target_frame(%rip)\nlea 1f(%rip), %rax\nmov %rax, target_ip(%rip)\n"
        "mov %rcx, %rax\nmov %rdx, %rcx\ncall *%rax\nmov $1, %eax\n"
        "1: add %rbx, %rax\nadd $32, %rsp\npop %rbx\nret\n.seh_endproc\n");

static u64 unwind_out(u64 value) {
    struct context context;
    __try {
        if (value & 1)
            RtlUnwind((void *)target_frame, (void *)target_ip, 0, value);
        RtlUnwindEx((void *)target_frame, (void *)target_ip, 0, value, &context, 0);
        Note(99);
    } __finally {
        Note(1);
    }
    return 0;
}

static u64 unwind_through_export(u64 value) {
    __try {
        CallBack(unwind_out, value);
        Note(98);
    } __finally {
        Note(2);
    }
    return 0;
}

static u64 plain(u64 value) { return value + 1; }

EXPORT u64 UnwindToCatch(u64 value) { return Catch(unwind_out, value); }
EXPORT u64 UnwindThroughExport(u64 value) { return Catch(unwind_through_export, value); }
EXPORT u64 NothingUnwound(u64 value) { return Catch(plain, value); }

// A frame that lies nowhere on the stack: no unwind reaches it.
EXPORT u64 UnwindToNowhere(u64 frame) {
    RtlUnwindEx((void *)frame, (void *)plain, 0, 0, 0, 0);
    return 0;
}

// As the compiler's checks of the stack cookie do: look, then leave it to the C handler.
int guarded_handler(void *record, u64 frame, void *context, void *dispatcher) {
    Note(10);
    return __C_specific_handler(record, frame, context, dispatcher);
}

u64 WithOwnHandler(status code);
__asm__(".globl WithOwnHandler\n.seh_proc WithOwnHandler\nWithOwnHandler:\n"
        "sub $40, %rsp\n.seh_stackalloc 40\n.seh_handler guarded_handler, @except, @unwind\n.seh_endprologue\n"
        "1: call *__imp_ExRaiseStatus(%rip)\nnop\n2: xor %eax, %eax\n"
        "3: mov %eax, %eax\nadd $40, %rsp\nret\n"
        ".seh_handlerdata\n.long 1\n.long 1b@IMGREL, 2b@IMGREL, 1, 3b@IMGREL\n.text\n.seh_endproc\n");

EXPORT u64 HandlerInTheImage(u64 code) { return returned(WithOwnHandler((status)code)); }

// A handler of another language: unwinds to its own frame by itself.
int deciding_handler(u32 *record, u64 frame, void *context, u64 *dispatcher) {
    Note(record[1] & 0x66);
    if (!(record[1] & 0x66))
        RtlUnwindEx((void *)frame, (void *)target_ip, record, record[0], context, 0);
    (void)dispatcher;
    return 1;
}

u64 WithDecidingHandler(status code);
__asm__(".globl WithDecidingHandler\n.seh_proc WithDecidingHandler\nWithDecidingHandler:\n"
        "sub $40, %rsp\n.seh_stackalloc 40\n.seh_handler deciding_handler, @except, @unwind\n.seh_endprologue\n"
        "lea 1f(%rip), %rax\nmov %rax, target_ip(%rip)\ncall *__imp_ExRaiseStatus(%rip)\nnop\nxor %eax, %eax\n"
        "1: mov %eax, %eax\nadd $40, %rsp\nret\n.seh_handlerdata\n.text\n.seh_endproc\n");

EXPORT u64 HandlerThatUnwinds(u64 code) { return returned(WithDecidingHandler((status)code)); }

// A handler that answers nonsense.
int wrong_handler(void) { return 7; }

u64 WithWrongHandler(status code);
__asm__(".globl WithWrongHandler\n.seh_proc WithWrongHandler\nWithWrongHandler:\n"
        "sub $40, %rsp\n.seh_stackalloc 40\n.seh_handler wrong_handler, @except\n.seh_endprologue\n"
        "call *__imp_ExRaiseStatus(%rip)\nnop\nadd $40, %rsp\nret\n.seh_handlerdata\n.text\n.seh_endproc\n");

EXPORT u64 HandlerThatIsWrong(u64 code) { return returned(WithWrongHandler((status)code)); }

// Walks its own stack as a driver's crash logger would; notes how many frames lie in the image.
static __declspec(noinline) u64 walk(void) {
    struct context context;
    u64 frames = 0, base = 0, establisher;
    void *data;
    RtlCaptureContext(&context);
    for (;;) {
        struct function *function = RtlLookupFunctionEntry(context.rip, &base, 0);
        if (!base)
            return frames;
        frames++;
        if (function) {
            RtlVirtualUnwind(0, base, context.rip, function, &context, &data, &establisher, 0);
        } else {
            context.rip = *(u64 *)context.rsp;
            context.rsp += 8;
        }
    }
}

static __declspec(noinline) u64 walk_deeper(u64 depth) { return depth ? returned(walk_deeper(depth - 1)) : returned(walk()); }

EXPORT u64 WalkOwnStack(u64 depth) {
    u64 (*volatile deeper)(u64) = walk_deeper;
    return returned(deeper(depth));
}

static __declspec(noinline) u64 trace(u32 skip, void **addresses) {
    u32 hash = 0;
    u16 count = RtlCaptureStackBackTrace(skip, 8, addresses, &hash);
    u32 sum = 0;
    for (u16 i = 0; i < count; i++)
        sum += (u32)(u64)addresses[i];
    Note(hash == sum);
    return count;
}

EXPORT __declspec(noinline) u64 BackTrace(u64 skip) {
    void *addresses[8], *base;
    u64 count = trace((u32)skip, addresses), inside = 0;
    for (u64 i = 0; i < count; i++)
        inside += RtlPcToFileHeader(addresses[i], &base) != 0 && base != 0;
    Note(count);
    return inside;
}

static u64 trace_from_callback(u64 skip) { return returned(BackTrace(skip)); }

EXPORT u64 BackTraceThroughExport(u64 skip) { return returned(CallBack(trace_from_callback, skip)); }

EXPORT u64 BadPointers(u64 address) {
    u64 caught = 0;
    __try { RtlCaptureContext((struct context *)address); __asm__ volatile("nop"); } __except (1) { caught++; }
    __try { RtlLookupFunctionEntry((u64)plain, (u64 *)address, 0); __asm__ volatile("nop"); } __except (1) { caught++; }
    __try { RtlPcToFileHeader((void *)plain, (void **)address); __asm__ volatile("nop"); } __except (1) { caught++; }
    __try { RtlCaptureStackBackTrace(0, 1, (void **)address, 0); __asm__ volatile("nop"); } __except (1) { caught++; }
    __try { RtlUnwindEx(0, 0, (void *)address, 0, 0, 0); __asm__ volatile("nop"); } __except (1) { caught++; }
    __try { RtlVirtualUnwind(0, 0, 0, 0, (struct context *)address, 0, 0, 0); __asm__ volatile("nop"); } __except (1) { caught++; }
    return caught;
}

int DriverEntry(void) { return 0; }
