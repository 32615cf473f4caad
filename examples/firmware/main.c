/* One image through an exported student on a Cortex-M without an operating system.
 *
 * It talks to the debugger by semihosting (BKPT 0xAB), which QEMU answers; on a board replace
 * `call_host` by a serial line. examples/cortex_m.py compiles it together with mlg.c and runs it.
 */
#include <stdint.h>
#include <string.h>

#include "image.h" /* IMAGE: the normalised numbers of one image */

float *mlg_input(void);
const float *mlg_run(void);

extern uint32_t stack_top, data_begin, data_end, data_source, bss_begin, bss_end;

#define SYST_CSR (*(volatile uint32_t *)0xE000E010)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018)
#define CPACR (*(volatile uint32_t *)0xE000ED88)

enum { WRITE0 = 0x04, EXIT = 0x18, STOPPED = 0x20026 };

static uint32_t rounds; /* of the 24-bit timer */

static void call_host(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void print_hex(uint32_t word, char end) {
    char text[10];
    for (int i = 0; i < 8; i++) text[i] = "0123456789abcdef"[word >> (28 - 4 * i) & 15];
    text[8] = end;
    text[9] = 0;
    call_host(WRITE0, text);
}

/* Ticks since the timer was started, in 64 bits. */
static uint64_t ticks(void) {
    uint32_t before, left;
    do {
        before = rounds;
        left = SYST_CVR;
    } while (before != rounds);
    return ((uint64_t)before << 24) + (0xFFFFFF - left);
}

void on_timer(void) { rounds++; }

void on_fault(void) {
    call_host(WRITE0, "fault\n");
    call_host(EXIT, (void *)1);
    for (;;) {}
}

/* Print the logits' bits, then the timer's ticks of one image (high word, low word). */
void on_reset(void) {
    memcpy(&data_begin, &data_source, (size_t)((char *)&data_end - (char *)&data_begin));
    memset(&bss_begin, 0, (size_t)((char *)&bss_end - (char *)&bss_begin));
    CPACR |= 0xFu << 20; /* the floating-point unit */
    __asm__ volatile("dsb\nisb");
    memcpy(mlg_input(), IMAGE, sizeof IMAGE);
    SYST_RVR = 0xFFFFFF;
    SYST_CVR = 0;
    SYST_CSR = 7; /* on, with its interrupt, from the processor's clock */
    while (!SYST_CVR) {} /* it is 0 until its first tick */
    uint64_t began = ticks();
    const float *logits = mlg_run();
    uint64_t spent = ticks() - began;
    for (int c = 0; c < IMAGE_CLASSES; c++) {
        uint32_t word;
        memcpy(&word, logits + c, sizeof word);
        print_hex(word, c + 1 < IMAGE_CLASSES ? ' ' : '\n');
    }
    print_hex((uint32_t)(spent >> 32), ' ');
    print_hex((uint32_t)spent, '\n');
    call_host(EXIT, (void *)STOPPED);
    for (;;) {}
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (void *)on_reset, (void *)on_fault, (void *)on_fault, (void *)on_fault,
    (void *)on_fault, (void *)on_fault, 0, 0, 0, 0, (void *)on_fault, (void *)on_fault, 0,
    (void *)on_fault, (void *)on_timer,
};
