/* What a device must compute rightly before it is trusted with a design: the vector types,
 * conversions and constructs of the kernels, in small. The host holds every number against its own.
 *
 * out[i] of lane l, with a = (uchar)in[i], w = (char)in[i] of the second half:
 *   s  = a << (w & 7), negated where w < 0, summed over i as 32 bits
 *   p  = s * 1000003 in 64 bits, shifted right by 7, rounded half to even, low 32 bits
 *   out = p, and clamp(p, -128, 127) as a byte
 */
#define PROBE_WORDS 64
#define PROBE_DEPTH 4

typedef struct { uchar8 px[2]; } probe_line_t;

#ifdef PROBE_CHANNELS
#pragma OPENCL EXTENSION cl_intel_channels : enable
channel probe_line_t lines __attribute__((depth(PROBE_DEPTH)));
#endif

static int8 probe_terms(const uchar8 a, const char8 w) {
  const short8 shifted = convert_short8(a) << (convert_short8(w) & (short)7);
  return convert_int8(select(shifted, -shifted, convert_short8(w) < (short)0));
}

static int8 probe_round(const int8 sum) {
  const long8 scaled = convert_long8(sum) * 1000003L;
  const long8 low = scaled & 127L;
  const long8 floor = scaled >> 7;
  const long8 up = (low > 64L) | ((low == 64L) & ((floor & 1L) != 0L));
  return as_int16(floor - up).even; /* a true comparison is -1 */
}

static void probe_step(const probe_line_t line, int8 *sum, __global int *restrict wide,
                       __global uchar *restrict narrow, const int i) {
  int8 memory[PROBE_DEPTH]; /* an array that has to be indexed */
  for (int k = 0; k < PROBE_DEPTH; k++) memory[k] = *sum + k;
  *sum = memory[(i & 3)] - (i & 3) + probe_terms(line.px[0], as_char8(line.px[1]));
  const int8 rounded = probe_round(*sum);
  vstore8(rounded, i, wide);
  vstore8(convert_uchar8(clamp(rounded, -128, 127) & 255), i, narrow);
}

static probe_line_t probe_load(__global const uchar *restrict in, const int i) {
  probe_line_t line;
  line.px[0] = vload8(i, in);
  line.px[1] = vload8(PROBE_WORDS + i, in);
  return line;
}

#ifdef PROBE_CHANNELS
__attribute__((max_global_work_dim(0)))
__kernel void probe_send(__global const uchar *restrict in) {
  for (int i = 0; i < PROBE_WORDS; i++) write_channel_intel(lines, probe_load(in, i));
}

__attribute__((max_global_work_dim(0)))
__kernel void probe_take(__global int *restrict wide, __global uchar *restrict narrow) {
  int8 sum = 0;
  for (int i = 0; i < PROBE_WORDS; i++)
    probe_step(read_channel_intel(lines), &sum, wide, narrow, i);
}
#else
__kernel void probe(__global const uchar *restrict in, __global int *restrict wide,
                    __global uchar *restrict narrow) {
  int8 sum = 0;
  for (int i = 0; i < PROBE_WORDS; i++) probe_step(probe_load(in, i), &sum, wide, narrow, i);
}
#endif
