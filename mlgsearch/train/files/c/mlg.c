/* A compressed network on small targets: C99, libm and no other library, nothing allocated.
 *
 * student.h, beside this file, holds the codes and the list of operations. Weights are made of the
 * codes one row at a time, in `scratch`, each time a layer runs; `arena` holds activations.
 *
 *     cc -O2 -std=c99 -o student mlg.c -lm
 *     ./student < images.u8       pixels, uint8, channels first; a line of logits per image
 *     ./student -n < numbers.txt  numbers: (pixel / 255 - mean) / std
 *     ./student -t < images.u8    flash, RAM and milliseconds per image too, on stderr
 *
 * In a firmware compile with -DMLG_NO_MAIN: write the image to mlg_input(), call mlg_run().
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- what student.h is written in; offsets count floats, bytes of CODES or entries of NUMBERS */

enum { LAYER, NORM, QUANTISE, UNARY, BINARY, POOL, COPY }; /* Op.kind */
enum { RELU, CLIP, SIGMOID, HARD_SIGMOID, HARD_SWISH, TANH, LEAKY_RELU, ELU, ERF, GELU };
enum { ADD, SUB, MUL, DIV, PRELU };
enum { MAX, MEAN, MEAN_INSIDE };           /* MEAN_INSIDE does not count the padding */
enum { BY_ROWS, WHOLE, DEPTHWISE };        /* Layer.form */
enum { NOTHING, BIAS, SCALE, SCALE_HALF }; /* Layer.end: what is done to each channel */
enum { DOREFA, LSQ, LSQ_SYMMETRIC };       /* METHOD */
#define SAME 65535                         /* Op.at: the operand has the shape of x */

typedef struct {
    uint8_t kind, of;    /* `of`: the function of UNARY, BINARY, POOL; the `end` of NORM */
    uint16_t at;         /* LAYER, POOL: in LAYERS. BINARY, COPY: in SHAPES. NORM: channels. QUANTISE: bits */
    uint32_t x, b, y, n; /* in and out, in `arena`; numbers or second operand; values written */
    uint8_t b_is_number; /* BINARY: the second operand lies in NUMBERS, not in `arena` */
} Op;

typedef struct {
    uint16_t c, h, w, o, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw; /* in, out, kernel, stride, padding, dilation */
    uint16_t groups, b_in, b_out;                                /* b_in, b_out: 0 without the level */
    uint8_t q_basis, q_coeff_in, q_coeff_out, form, end;
    uint32_t codes, numbers, ends;
} Layer;

typedef struct {
    uint32_t size[4], step[4]; /* of what is written; of the operand that is read, in floats */
} Shape;

#include "student.h"

static float arena[ARENA], scratch[SCRATCH];

/* ---- factors: values straight from the bit stream */

typedef struct {
    const uint8_t *codes;
    const float *numbers; /* scales, or at 32 bits the values */
    unsigned bits;
} Factor;

static Factor next_factor(uint32_t *codes, uint32_t *numbers, uint32_t count, unsigned bits) {
    Factor f = {CODES + *codes, NUMBERS + *numbers, bits};
    *codes += bits == 32 ? 0 : (count * bits + 7) / 8;
    *numbers += bits == 32 ? count : bits > 1 && METHOD == DOREFA ? 2 : 1;
    return f;
}

static float value(const Factor *f, uint32_t i) {
    if (f->bits == 32) return f->numbers[i];
    uint32_t bit = i * f->bits, two = f->codes[bit / 8] | (uint32_t)f->codes[bit / 8 + 1] << 8;
    uint32_t top = ((uint32_t)1 << f->bits) - 1;
    float code = (float)(two >> bit % 8 & top), half = (float)(top / 2 + 1);
    if (f->bits == 1) return code > 0 ? f->numbers[0] : -f->numbers[0];
    if (METHOD == DOREFA)
        return f->numbers[0] * (f->numbers[1] * (2 * code / (float)top - 1));
    return (code - (METHOD == LSQ ? half : half - 0.5f)) * f->numbers[0];
}

static float half_float(uint16_t u) {
    unsigned exponent = u >> 10 & 31, fraction = u & 1023;
    float v = exponent ? ldexpf((float)(fraction | 1024), (int)exponent - 25)
                       : ldexpf((float)fraction, -24);
    return u >> 15 ? -v : v;
}

/* ---- layers */

/* Multiply each channel by its scale and add its shift; or add its bias. */
static void end_channels(float *y, int channels, int plane, int end, uint32_t at) {
    for (int o = 0; o < channels && end != NOTHING; o++, y += plane) {
        int second = (int)at + channels + o;
        float scale = end == BIAS ? 1 : end == SCALE ? NUMBERS[at + o] : half_float(HALVES[at + o]);
        float shift = end == BIAS ? NUMBERS[at + o] : end == SCALE ? NUMBERS[second] : half_float(HALVES[second]);
        for (int p = 0; p < plane; p++) y[p] = y[p] * scale + shift;
    }
}

/* Add `channels` planes of x, each with its kernel of w, to the plane y. */
static void correlate(const Layer *l, const float *x, int channels, const float *w, float *y) {
    for (int i = 0; i < channels; i++, x += l->h * l->w)
        for (int ky = 0; ky < l->kh; ky++)
            for (int kx = 0; kx < l->kw; kx++) {
                float c = *w++;
                int left = kx * l->dw - l->pw, up = ky * l->dh - l->ph;
                int first = left < 0 ? (l->sw - 1 - left) / l->sw : 0;
                int last = left < l->w ? (l->w - 1 - left) / l->sw : -1;
                if (last >= l->ow) last = l->ow - 1;
                for (int r = 0; r < l->oh; r++) {
                    int line = r * l->sh + up;
                    if (line < 0 || line >= l->h) continue;
                    const float *from = x + line * l->w;
                    float *to = y + r * l->ow;
                    for (int j = first; j <= last; j++) to[j] += c * from[j * l->sw + left];
                }
            }
}

static void add_times(float *y, const float *x, float c, int count) {
    for (int i = 0; i < count; i++) y[i] += c * x[i];
}

/* Make row r of the weight without level 2; its kernel of the basis lies behind it meanwhile. */
static void make_row(const Layer *l, const Factor *basis, const Factor *mix, int r, float *row) {
    int depth = l->c / l->groups, area = l->kh * l->kw, count = depth * area;
    float *kernel = row + count;
    if (!l->b_in)
        for (int i = 0; i < count; i++) row[i] = value(basis, (uint32_t)r * count + i);
    else
        memset(row, 0, sizeof *row * count);
    for (int j = 0; j < l->b_in; j++) {
        for (int k = 0; k < area; k++) kernel[k] = value(basis, ((uint32_t)r * l->b_in + j) * area + k);
        for (int i = 0; i < depth; i++)
            add_times(row + i * area, kernel, value(mix, ((uint32_t)r * depth + i) * l->b_in + j), area);
    }
}

static void run_layer(const Layer *l, const float *x, float *y) {
    int depth = l->c / l->groups, per_group = l->o / l->groups, area = l->kh * l->kw;
    int rows = l->b_out ? l->b_out : l->o, plane = l->oh * l->ow, in_plane = l->h * l->w;
    int count = depth * area;
    uint32_t codes = l->codes, numbers = l->numbers;
    Factor basis = next_factor(&codes, &numbers, (uint32_t)rows * (l->b_in ? l->b_in : depth) * area, l->q_basis);
    Factor mix = basis, out = basis;
    if (l->b_in) mix = next_factor(&codes, &numbers, (uint32_t)rows * depth * l->b_in, l->q_coeff_in);
    if (l->b_out) out = next_factor(&codes, &numbers, (uint32_t)l->o * l->b_out, l->q_coeff_out);
    memset(y, 0, sizeof *y * l->o * plane);
    if (l->form == WHOLE) { /* all weights, then each output channel */
        float *row = scratch + l->o * count;
        memset(scratch, 0, sizeof *scratch * l->o * count);
        for (int r = 0; r < rows; r++) {
            make_row(l, &basis, &mix, r, row);
            for (int o = 0; o < l->o; o++)
                add_times(scratch + o * count, row, value(&out, (uint32_t)o * rows + r), count);
        }
        for (int o = 0; o < l->o; o++)
            correlate(l, x + o / per_group * depth * in_plane, depth, scratch + o * count, y + o * plane);
    } else { /* a row of weights at a time, to one output channel or, with level 2, to all of them */
        float *row = scratch, *hidden = scratch + (l->form == DEPTHWISE ? area : count + area);
        float *mixed = hidden + (l->b_out ? plane : 0);
        for (int r = 0; r < rows; r++) {
            const float *from = x + (l->b_out ? 0 : r / per_group * depth * in_plane);
            float *to = l->b_out ? hidden : y + r * plane;
            if (l->b_out) memset(hidden, 0, sizeof *hidden * plane);
            if (l->form == BY_ROWS) {
                make_row(l, &basis, &mix, r, row);
                correlate(l, from, depth, row, to);
            }
            for (int j = 0; l->form == DEPTHWISE && j < l->b_in; j++) { /* mix the channels, then one kernel */
                uint32_t at = (uint32_t)r * l->b_in + j, first = (uint32_t)r * depth * l->b_in + j;
                memset(mixed, 0, sizeof *mixed * in_plane);
                for (int i = 0; i < depth; i++)
                    add_times(mixed, from + i * in_plane, value(&mix, first + i * l->b_in), in_plane);
                for (int k = 0; k < area; k++) row[k] = value(&basis, at * area + k);
                correlate(l, mixed, 1, row, to);
            }
            for (int o = 0; l->b_out && o < l->o; o++)
                add_times(y + o * plane, hidden, value(&out, (uint32_t)o * rows + r), plane);
        }
    }
    end_channels(y, l->o, plane, l->end, l->ends);
}

static void run_pool(const Layer *l, const float *x, float *y, int of) {
    for (int c = 0; c < l->c; c++, x += l->h * l->w)
        for (int r = 0; r < l->oh; r++)
            for (int j = 0; j < l->ow; j++) {
                float most = -INFINITY, sum = 0;
                int inside = 0;
                for (int ky = 0; ky < l->kh; ky++)
                    for (int kx = 0; kx < l->kw; kx++) {
                        int line = r * l->sh + ky * l->dh - l->ph, at = j * l->sw + kx * l->dw - l->pw;
                        if (line < 0 || line >= l->h || at < 0 || at >= l->w) continue;
                        float v = x[line * l->w + at];
                        most = v > most ? v : most;
                        sum += v;
                        inside++;
                    }
                *y++ = of == MAX ? most : sum / (float)(of == MEAN ? l->kh * l->kw : inside);
            }
}

/* ---- operations on single values */

static float clip(float v, float low, float high) { return v < low ? low : v > high ? high : v; }

static float unary(int of, float v, const float *p) {
    switch (of) {
    case RELU: return v > 0 ? v : 0;
    case CLIP: return clip(v, p[0], p[1]);
    case SIGMOID: return 1 / (1 + expf(-v));
    case HARD_SIGMOID: return clip(p[0] * v + p[1], 0, 1);
    case HARD_SWISH: return v * clip(v / 6 + 0.5f, 0, 1);
    case TANH: return tanhf(v);
    case LEAKY_RELU: return v < 0 ? p[0] * v : v;
    case ELU: return v < 0 ? p[0] * expm1f(v) : v;
    case ERF: return erff(v);
    default: return v * (0.5f * (1 + erff(v / 1.41421356f))); /* GELU */
    }
}

static float binary(int of, float a, float b) {
    switch (of) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV: return a / b;
    default: return a < 0 ? a * b : a; /* PRELU */
    }
}

/* Which value of the second operand, or of what is copied, belongs to value i. */
static uint32_t place(const Op *op, uint32_t i) {
    uint32_t at = 0;
    if (op->at == SAME) return i;
    for (int d = 3; d >= 0; d--) {
        at += i % SHAPES[op->at].size[d] * SHAPES[op->at].step[d];
        i /= SHAPES[op->at].size[d];
    }
    return at;
}

/* ---- the network */

float *mlg_input(void) { return arena + INPUT; }

/* Return CLASSES logits of the image in mlg_input(), which is overwritten. */
const float *mlg_run(void) {
    for (unsigned k = 0; k < sizeof OPS / sizeof *OPS; k++) {
        const Op *op = &OPS[k];
        float *x = arena + op->x, *y = arena + op->y;
        const float *p = NUMBERS + op->b, *b = op->b_is_number ? p : arena + op->b;
        if (op->kind == LAYER) run_layer(&LAYERS[op->at], x, y);
        if (op->kind == POOL) run_pool(&LAYERS[op->at], x, y, op->of);
        if (op->kind == NORM) {
            memmove(y, x, sizeof *y * op->n);
            end_channels(y, op->at, (int)(op->n / op->at), op->of, op->b);
        }
        for (uint32_t i = 0; op->kind == QUANTISE && i < op->n; i++)
            y[i] = (clip(rintf(x[i] / p[0] + p[1]), 0, (float)((1 << op->at) - 1)) - p[1]) * p[0];
        for (uint32_t i = 0; op->kind == UNARY && i < op->n; i++) y[i] = unary(op->of, x[i], p);
        for (uint32_t i = 0; op->kind == BINARY && i < op->n; i++)
            y[i] = binary(op->of, x[i], b[place(op, i)]);
        for (uint32_t i = 0; op->kind == COPY && i < op->n; i++) y[i] = x[place(op, i)];
    }
    return arena + OUTPUT;
}

#ifndef MLG_NO_MAIN
#include <stdio.h>
#include <time.h>

int main(int argc, char **argv) {
    const char *option = argc == 2 ? argv[1] : "";
    int is_numbers = !strcmp(option, "-n"), is_timed = !strcmp(option, "-t"), got;
    const long wanted = (long)CHANNELS * HEIGHT * WIDTH;
    long images = 0;
    if (argc > 1 + is_numbers + is_timed) return fprintf(stderr, "usage: %s [-n | -t] < images\n", argv[0]), 2;
    for (clock_t spent = 0;; images++) {
        long i = 0;
        for (float number; i < wanted; i++) {
            if (is_numbers) {
                if ((got = scanf("%f", &number)) == 0) return fprintf(stderr, "image %ld: value %ld is no number\n", images, i), 2;
            } else if ((got = getchar()) != EOF) {
                int channel = (int)(i / ((long)HEIGHT * WIDTH));
                number = ((float)got / 255 - MEANS[channel]) / STDS[channel];
            }
            if (got == EOF) break;
            mlg_input()[i] = number;
        }
        if (i < wanted && (i || !images)) return fprintf(stderr, "image %ld ends after %ld of %ld values\n", images, i, wanted), 2;
        if (i < wanted) {
            unsigned long tables = sizeof CODES + sizeof NUMBERS + sizeof HALVES + sizeof LAYERS + sizeof SHAPES + sizeof OPS;
            if (is_timed) fprintf(stderr, "flash: %lu bytes of tables; RAM: %lu bytes of scratch, %lu of activations; %.4f ms per image\n",
                                  tables, (unsigned long)sizeof scratch, (unsigned long)sizeof arena, 1000.0 * (double)spent / CLOCKS_PER_SEC / (double)images);
            return 0;
        }
        clock_t began = clock();
        const float *logits = mlg_run();
        spent += clock() - began;
        for (int c = 0; c < CLASSES; c++) printf("%.9g%c", logits[c], c + 1 < CLASSES ? ' ' : '\n');
    }
}
#endif
