// Guarded code in every arrangement that the dispatcher has to follow. `Note` records what ran, in order.
typedef unsigned long u32;
typedef unsigned long long u64;
typedef long status;

struct record { status code; u32 flags; struct record *next; void *address; u32 count; u64 information[15]; };
struct pointers { struct record *record; unsigned char *context; };

__declspec(dllimport) void Note(u64 value);
__declspec(dllimport) void ExRaiseStatus(status code);
__declspec(dllimport) void RtlRaiseException(struct record *record);
__declspec(dllimport) u64 CallBack(u64 (*function)(u64), u64 argument);

#define CODE ((u32)__exception_code())
#define POINTERS ((struct pointers *)__exception_info())
#define TAKE 1
#define PASS 0
#define RETRY (-1)
#define CONTEXT_RAX 0x78
#define CONTEXT_RIP 0xF8

static volatile u32 *const nowhere = (u32 *)0x30;

__declspec(dllexport) u64 CatchFault(volatile u32 *address) {
    __try {
        return *address;
    } __except (TAKE) {
        return CODE;
    }
}

__declspec(dllexport) u64 CatchWrite(volatile u32 *address) {
    __try {
        *address = 1;
        return 0;
    } __except (TAKE) {
        return CODE;
    }
}

static int look(struct pointers *pointers) {
    struct record *record = pointers->record;
    Note((u32)record->code);
    Note(record->count);
    Note(record->information[0]);
    Note(record->information[1]);
    Note((u64)record->address == *(u64 *)(pointers->context + CONTEXT_RIP));
    return TAKE;
}

__declspec(dllexport) u64 FilterSeesRecord(volatile u32 *address) {
    __try {
        *address = 1;
        return 0;
    } __except (look(POINTERS)) {
        return 1;
    }
}

static __declspec(noinline) u64 divide(volatile int *left, volatile int *right) { return *left / *right; }

__declspec(dllexport) u64 CatchDivision(int left, int right) {
    volatile int l = left, r = right;
    __try {
        return divide(&l, &r);
    } __except (TAKE) {
        return CODE;
    }
}

__declspec(dllexport) u64 OuterFilterDecides(void) {
    __try {
        __try {
            Note(1);
            *nowhere = 1;
        } __except (Note(2), PASS) {
            Note(99);
        }
    } __except (Note(3), TAKE) {
        Note(4);
    }
    Note(5);
    return 6;
}

static __declspec(noinline) void inner_finally(void) {
    __try {
        __try {
            *nowhere = 1;
            Note(90);
        } __finally {
            Note(_abnormal_termination() ? 11 : 91);
        }
    } __finally {
        Note(_abnormal_termination() ? 12 : 92);
    }
    Note(93);
}

__declspec(dllexport) u64 FinallyBlocksRunInOrder(void) {
    __try {
        __try {
            inner_finally();
        } __finally {
            Note(13);
        }
    } __except (Note(10), TAKE) {
        Note(14);
    }
    return 15;
}

__declspec(dllexport) u64 FinallyOutsideOfTheTargetWaits(void) {
    __try {
        __try {
            *nowhere = 1;
        } __except (TAKE) {
            Note(1);
        }
        Note(2);
    } __finally {
        Note(_abnormal_termination() ? 90 : 3);
    }
    return 4;
}

static __declspec(noinline) void raise_deep(int depth) {
    __try {
        if (depth == 0)
            ExRaiseStatus((status)0xC0000123);
        else
            raise_deep(depth - 1);
    } __finally {
        Note(depth);
    }
}

__declspec(dllexport) u64 RaiseThroughNestedCalls(int depth) {
    __try {
        raise_deep(depth);
    } __except (CODE == 0xC0000123 ? TAKE : PASS) {
        return CODE;
    }
    return 0;
}

static u64 fault_in_callback(u64 address) {
    __try {
        return *(volatile u32 *)address;
    } __finally {
        Note(20);
    }
}

static u64 callback_in_callback(u64 address) {
    __try {
        return CallBack(fault_in_callback, address) + 1;
    } __finally {
        Note(21);
    }
}

__declspec(dllexport) u64 ExceptionCrossesExports(u64 address) {
    u64 result = 0;
    __try {
        result = CallBack(callback_in_callback, address);
    } __except (Note(22), TAKE) {
        Note(23);
        result = CODE;
    }
    Note(24);
    return result;
}

static int repair(struct pointers *pointers, u64 value) {
    // The instruction that faulted loads through RAX.
    *(u64 *)(pointers->context + CONTEXT_RAX) = value;
    return RETRY;
}

__declspec(dllexport) u64 ContinueExecution(u64 *good) {
    u64 loaded = 0;
    __try {
        __asm__ volatile("mov $0x30, %%rax\n\tmov (%%rax), %0" : "=r"(loaded) : : "rax", "memory");
    } __except (repair(POINTERS, (u64)good)) {
        return 0;
    }
    return loaded;
}

static int set_register(struct pointers *pointers, u64 offset, u64 value) {
    *(u64 *)(pointers->context + offset) = value;
    return RETRY;
}

// As ContinueExecution, with another register that the filter sets: its offset in CONTEXT, and its value.
__declspec(dllexport) u64 ContinueWith(u64 *good, u64 offset, u64 value) {
    u64 loaded = 0;
    __try {
        __asm__ volatile("mov $0x30, %%rax\n\tmov (%%rax), %0" : "=r"(loaded) : : "rax", "memory");
    } __except ((repair(POINTERS, (u64)good), set_register(POINTERS, offset, value))) {
        return 0;
    }
    return loaded;
}

__declspec(dllexport) u64 ContinueBehindARaise(void) {
    struct record record = {.code = 0x20000001};
    __try {
        RtlRaiseException(&record);
        return 1;
    } __except (CODE == 0x20000001 ? RETRY : PASS) {
        return 0;
    }
}

__declspec(dllexport) u64 ContinueWhatCannot(void) {
    __try {
        __try {
            ExRaiseStatus((status)0xC0000001);
        } __except (CODE == 0xC0000001 ? RETRY : PASS) {
            return 0;
        }
    } __except (TAKE) {
        return CODE;
    }
    return 0;
}

static int faulting_filter(void) {
    Note(30);
    return *nowhere;
}

static __declspec(noinline) void with_faulting_filter(void) {
    __try {
        ExRaiseStatus((status)0xC0000200);
    } __except (CODE == 0xC0000200 ? faulting_filter() : PASS) {
        Note(99);
    }
}

__declspec(dllexport) u64 FaultInFilter(void) {
    __try {
        with_faulting_filter();
    } __except (TAKE) {
        return CODE;
    }
    return 0;
}

static int filter_with_own_guard(void) {
    __try {
        *nowhere = 1;
    } __except (TAKE) {
        Note(40);
    }
    return TAKE;
}

__declspec(dllexport) u64 FilterCatchesItsOwn(void) {
    __try {
        ExRaiseStatus((status)0xC0000201);
    } __except (filter_with_own_guard()) {
        return CODE;
    }
    return 0;
}

static __declspec(noinline) void with_raising_finally(void) {
    __try {
        __try {
            ExRaiseStatus((status)0xC0000300);
            // clang before 21 begins the next scope at the return address: keep it inside of this one.
            __asm__ volatile("nop");
        } __finally {
            Note(50);
            ExRaiseStatus((status)0xC0000301);
        }
    } __finally {
        Note(51);
    }
}

__declspec(dllexport) u64 RaiseInFinally(void) {
    u64 inner = 0;
    __try {
        __try {
            with_raising_finally();
        } __except (CODE == 0xC0000301 ? TAKE : PASS) {
            inner = CODE;
        }
    } __except (TAKE) {
        Note(52);
        return CODE;
    }
    return inner;
}

static __declspec(noinline) void finally_catches(void) {
    __try {
        *nowhere = 1;
    } __finally {
        __try {
            ExRaiseStatus((status)0xC0000400);
        } __except (TAKE) {
            Note(60);
        }
        Note(61);
    }
}

__declspec(dllexport) u64 FinallyCatchesItsOwn(void) {
    __try {
        finally_catches();
    } __except (TAKE) {
        return CODE;
    }
    return 0;
}

static u64 raise_again(u64 code) {
    __try {
        ExRaiseStatus((status)code);
    } __except (TAKE) {
        Note(70);
        ExRaiseStatus((status)(code + 1));
    }
    return 0;
}

__declspec(dllexport) u64 RaiseFromExceptBlock(u64 code) {
    __try {
        CallBack(raise_again, code);
    } __except (TAKE) {
        return CODE;
    }
    return 0;
}

// Registers and locals survive: the non-volatile registers are restored on the way to the handler.
static __declspec(noinline) u64 clobber(u64 a) {
    __asm__ volatile("xor %%ebx, %%ebx\n\txor %%esi, %%esi\n\txor %%edi, %%edi\n\txor %%r12d, %%r12d\n\t"
                     "xor %%r13d, %%r13d\n\txor %%r14d, %%r14d\n\txor %%r15d, %%r15d\n\t"
                     "xorps %%xmm6, %%xmm6\n\txorps %%xmm7, %%xmm7\n\txorps %%xmm15, %%xmm15\n\t"
                     "movl $1, 0x30" : : : "rbx", "rsi", "rdi", "r12", "r13", "r14", "r15", "xmm6", "xmm7", "xmm15", "memory");
    return a;
}

__declspec(dllexport) u64 NonVolatilesAreRestored(u64 a, u64 b, u64 c, u64 d) {
    u64 e = a * b, f = b * c, g = c * d, h = d * a;
    double x = (double)a, y = (double)b;
    __asm__ volatile("" : "+r"(e), "+r"(f), "+r"(g), "+r"(h), "+x"(x), "+x"(y));
    __try {
        clobber(a);
    } __except (TAKE) {
        Note(80);
    }
    __asm__ volatile("" : "+r"(e), "+r"(f), "+r"(g), "+r"(h), "+x"(x), "+x"(y));
    return e + f + g + h + (u64)x + (u64)y;
}

__declspec(dllexport) u64 BigFrame(u32 index) {
    volatile unsigned char buffer[70000];
    buffer[index] = 5;
    __try {
        buffer[index] = (unsigned char)*nowhere;
    } __except (TAKE) {
        return buffer[index];
    }
    return 0;
}

__declspec(dllexport) u64 Alloca(u32 size) {
    unsigned char *volatile block = __builtin_alloca(size);
    block[size - 1] = 9;
    __try {
        *nowhere = 1;
    } __except (TAKE) {
        return block[size - 1];
    }
    return 0;
}

__declspec(dllexport) u64 CallNowhere(void) {
    u64 (*volatile function)(void) = (u64 (*)(void))0x40;
    __try {
        return function();
    } __except (TAKE) {
        return CODE;
    }
}

__declspec(dllexport) u64 Unhandled(void) {
    __try {
        *nowhere = 1;
    } __finally {
        Note(99);
    }
    return 0;
}

__declspec(dllexport) u64 UnhandledInCallback(void) { return CallBack(fault_in_callback, 0x30) + 1; }

__declspec(dllexport) u64 Nest(u64 depth) {
    __try {
        if (depth == 0)
            *nowhere = 1;
        return CallBack(Nest, depth - 1);
    } __except (depth == 3 ? TAKE : PASS) {
        return 1000 + depth;
    }
}

__declspec(dllexport) u64 Loop(u64 count) {
    u64 caught = 0;
    for (u64 i = 0; i < count; i++) {
        __try {
            ExRaiseStatus((status)0xC0000001);
        } __except (TAKE) {
            caught++;
        }
    }
    return caught;
}

int _fltused = 0;

void __chkstk(void);
__asm__(".globl __chkstk\n__chkstk:\n"
        "push %rcx\n push %rax\n lea 24(%rsp), %rcx\n"
        "1: cmp $0x1000, %rax\n jb 2f\n sub $0x1000, %rcx\n testb %al, (%rcx)\n sub $0x1000, %rax\n jmp 1b\n"
        "2: pop %rax\n pop %rcx\n ret\n");

int DriverEntry(void) { return 0; }
