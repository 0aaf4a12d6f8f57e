// One array loaded and stored in one loop.
// e8f69bef867b: Xtra-Computing/On-the-fly-data-shuffling-for-OpenCL-based-FPGAs
//   at 03074a436dcdc6b7280399fb3a5ee7f5c6b767c3, aoc 16.1 (repository logs)
//   report/lib/report_data.js
// 6df617705431: OxfordSKA/FPGA_Gridding
//   at d048c789561a80cda79e27f0af5f24cf42bb6fec, aoc 17.1.1 Build 273
//   gridding_kernels_tile/reports/lib/report_data.js
// fc32119b94ef: OxfordSKA/FPGA_Gridding
//   at 7ef16f7e00173f8fdad03d8dd2e99bab5cc4ce9f, aoc 17.1.1 Build 273
//   reports/lib/report_data.js
// dfe6f8722273: gandautama/PipeCNN
//   at 0e92d3903685993beaf8dc98cec3155f2be54067, aoc 17.0.0 Build 595
//   eclipse/pipe_2_0/conv/reports/lib/report_data.js
// 0e1c47cc961f: vkhristenko/test-regression
//   at 92befdfdedda344e12e06c2363096b8a56c07c75, aoc 17.1.1 Build 273
//   fpga_reports/swi_unroll_loop_coalesce_try_fix_warnings_remove_swap_loops_try_remove_stalls_i
//   nline_local_ivdep/reports/lib/report_data.js
// 6073104dfba5: khrd/OpenCL-intelFPGA-
//   at f24de46b404af939a1b037778a14b3cdba73a011, aoc 17.0.2 Build 297
//   moving_average2-2/bin/moving_average_many/reports/lib/report_data.js
// 338f5c5ef20a: pc2/hpcc_fpga_eval
//   at d46986762ed1d30077d6500f195dbce4820364e2, aoc 19.4.0 Build 64
//   data_artifacts/Nallatech_520N/STREAM/reports/lib/report_data.js
// 603c3151ecb2: pc2/hpcc_fpga_eval
//   at d46986762ed1d30077d6500f195dbce4820364e2, aoc 19.4.0 Build 64
//   data_artifacts/Nallatech_520N/RandomAccess/reports/lib/report_data.js
// 54953a95b3f0: pc2/hpcc_fpga_eval
//   at d46986762ed1d30077d6500f195dbce4820364e2, aoc 19.4.0 Build 64
//   data_artifacts/Intel_PAC_D5005/RandomAccess/reports/lib/report_data.js
// 7cec3c7e968f: pc2/hpcc_fpga_eval_21
//   at eb7f3cfd4f81756e482968d2fde8d465c3122de9, aoc 21.2.0 Build 67.4
//   synthesis_artifacts/LINPACK_SP/520n-21.2.0-20.4.0-iec/hpl_torus_IEC_ni_synth_reports/lib/
//   report_data.js
// 9a343aecce3b: OxfordSKA/FPGA_Gridding
//   at fa810ccbfe87df634e14f9118e75b24139f29326, aoc 17.1.1 Build 273
//   gridding_kernels_tile/reports/lib/report_data.js

// A counter of events: the load feeds the store of the next visit.
channel int2 events;

__kernel void histogram(__global int* restrict out, int bins) {
  int count[1024];
  while (true) {  // aoc: higher [e8f69bef867b processEdges:757]
    bool valid;
    int2 event = read_channel_nb_intel(events, &valid);
    if (valid) {
      count[(event.x - bins) >> 4] += event.y;
    }
    if (event.x < 0)
      break;
  }
  for (int i = 0; i < 1024; i++) {
    out[i] = count[i];
  }
}

// Floating point at a computed place, without a promise.
__kernel __attribute__((max_global_work_dim(0)))
void scattered_sum(__global const float2* restrict in, __global float2* restrict out, int from,
                   int to, int row, int shift) {
  float2 grid[64][64];
  for (int k = from; k <= to; ++k) {  // aoc: higher [6df617705431 oskar_process_all_tiles:142]
    float2 value = in[k];
    grid[row][shift + k] += (float2)(value.x - value.y, value.y + value.x);
  }
  for (int k = 0; k < 64; ++k) {
    out[k] = grid[row][k];
  }
}

// The same with a promise, and a sum that nothing reads.
__kernel __attribute__((max_global_work_dim(0)))
void scattered_sum_promised(__global const float2* restrict in, __global float2* restrict out,
                            int from, int to, int row, int shift) {
  float2 grid[64][64];
  double total = 0.0;
  #pragma ivdep
  for (int k = from; k <= to; ++k) {  // aoc: 1 [fc32119b94ef convEng:253]
    float2 value = in[k];
    total += value.x;
    grid[row][shift + k] += (float2)(value.x - value.y, value.y + value.x);
  }
  for (int k = 0; k < 64; ++k) {
    out[k] = grid[row][k];
  }
}

// Two line buffers: what is stored does not come from a load of the same array.
channel char pixels;
channel char maxima;

__kernel __attribute__((max_global_work_dim(0)))
void line_buffers(uint count, uchar width) {
  char above[256];
  char top[256];
  uchar at = 0;
  for (uint k = 0; k < count; k++) {  // aoc: 1 [dfe6f8722273 maxPool:554]
    char value = read_channel_intel(pixels);
    char most = above[at] > top[at] ? above[at] : top[at];
    most = value > most ? value : most;
    top[at] = above[at];
    above[at] = value;
    write_channel_intel(maxima, most);
    if (at == width - 1)
      at = 0;
    else
      at++;
  }
}

// The sum of a row kept in an element that does not move in the inner loop: a register.
__kernel void row_sums(__global const float* restrict in, __global float* restrict out) {
  __local float block[144];
  __local float sums[12];
  for (int i = 0; i < 144; ++i) {
    block[i] = in[i];
  }
  for (int i = 0; i < 12; ++i) {  // aoc: outer [0e1c47cc961f inplace_fnnls:68]
    sums[i] = 0;
    #pragma unroll 1
    for (int k = 0; k < 12; ++k)  // aoc: 1 [0e1c47cc961f inplace_fnnls:71]
      sums[i] += block[i * 12 + k];
  }
  for (int i = 0; i < 12; ++i) {
    out[i] = sums[i];
  }
}

// A global array divided in place.
__kernel void scale_in_place(__global float* restrict values, int lanes, int from, int length,
                             int width) {
  for (int i = from; i < length; i++) {  // aoc: higher [6073104dfba5 moving_average_many:31]
    values[i * lanes] /= width;
  }
}

// Two rows of a matrix exchanged, with a promise.
__kernel void exchange(__global float* restrict out, int a, int b) {
  __local float m[144];
  #pragma ivdep
  for (int e = 0; e < 12; ++e) {  // aoc: 1 [0e1c47cc961f inplace_fnnls:120]
    if (e == a || e == b)
      continue;
    float kept = m[a * 12 + e];
    m[a * 12 + e] = m[b * 12 + e];
    m[b * 12 + e] = kept;
  }
  for (int e = 0; e < 144; ++e) {
    out[e] = m[e];
  }
}

// Elements added in place, each at the loop's own index.
__kernel void add_in_place(__global const float* restrict a, __global const float* restrict b,
                           __global float* restrict out, uint count) {
  float sums[4096];
  for (uint i = 0; i < count; i += 4096) {  // aoc: outer [338f5c5ef20a calc_0:22]
    for (uint k = 0; k < 4096; k++) {  // aoc: 1 [338f5c5ef20a calc_0:28]
      sums[k] = a[i + k] * 2.0f;
    }
    for (uint k = 0; k < 4096; k++) {  // aoc: 1 [338f5c5ef20a calc_0:34]
      sums[k] += b[i + k];
    }
    for (uint k = 0; k < 4096; k++) {  // aoc: 1 [338f5c5ef20a calc_0:40]
      out[i + k] = sums[k];
    }
  }
}

// Places drawn at random in a global array: kept apart by a promise.
__kernel __attribute__((max_global_work_dim(0)))
void drawn_updates(__global ulong volatile* restrict data, const ulong updates, const ulong mask) {
  ulong drawn = 1;
  #pragma ivdep
  for (ulong i = 0; i < updates; i++) {  // aoc: 1 [603c3151ecb2 accessMemory_0:58]
    long taps = 0;
    if (((long)drawn) < 0) {
      taps = 7;
    }
    drawn = (drawn << 1) ^ taps;
    ulong at = (drawn >> 3) & mask;
    if (at < updates) {
      data[at] = data[at] ^ drawn;
    }
  }
}

// Loads and stores of one array in two inner loops: an iteration after the other, yet pipelined.
__kernel __attribute__((max_global_work_dim(0)))
void drawn_in_batches(__global ulong volatile* restrict data, const ulong updates,
                      const ulong mask) {
  ulong drawn = 1;
  for (ulong i = 0; i < updates; i++) {  // aoc: outer [54953a95b3f0 accessMemory_0:58]
    ulong place[1024];
    ulong value[1024];
    __attribute__((opencl_unroll_hint(1)))
    for (int k = 0; k < 1024; k++) {  // aoc: 1 [54953a95b3f0 accessMemory_0:66]
      drawn = (drawn << 1) ^ (((long)drawn) < 0 ? 7 : 0);
      place[k] = drawn & mask;
      value[k] = data[drawn & mask];
    }
    __attribute__((opencl_unroll_hint(1)))
    for (int k = 0; k < 1024; k++) {  // aoc: 1 [54953a95b3f0 accessMemory_0:97]
      data[place[k]] = value[k] ^ 5;
    }
  }
}

// A promise with a length, on one array.
__kernel void products_of_blocks(__global float* restrict out) {
  local float sums[64][64];
  local float left[64][64];
  local float top[64][64];
  #pragma ivdep array(sums) safelen(64 * 64)
  for (int c = 0; c < 64 * 64 * 64; c++) {  // aoc: 1 [7cec3c7e968f inner_update_mm0:883]
    int depth = c / (64 * 64);
    int row = (c / 64) & 63;
    int column = c & 63;
    sums[row][column] = sums[row][column] + left[depth][row] * top[depth][column];
  }
  for (int c = 0; c < 64 * 64; c++) {
    out[c] = sums[c / 64][c & 63];
  }
}

// Two sites store one array at places that the compiler cannot tell apart, four at a time.
__kernel __attribute__((max_global_work_dim(0)))
void shuffled_fill(__global const float2* restrict in, __global float2* restrict out, int width) {
  float2 row[64];
  #pragma unroll 4
  for (int x = 0; x < width; x++) {  // aoc: higher [9a343aecce3b convEng:234]
    int place = (x % 4) * (64 / 4) + x / 4;
    row[place] = in[x];
  }
  for (int x = 0; x < 64; x++) {
    out[x] = row[x];
  }
}
