// What is carried from one iteration to the next without an array.
// 230f58b93b64: vkhristenko/test-regression
//   at 21178914112a2753f52e3955a4ad40242789f01d, aoc 17.1.1 Build 273
//   fpga_reports/fnnls_original/full_compilation/reports/lib/report_data.js
// 269faf9b0c9c: vkhristenko/test-regression
//   at 574c6e330f03c1f9bdd7d43e728b35361752a6b0, aoc 17.1.1 Build 273
//   fpga_reports/inplace_fnnls_original/reports/lib/report_data.js
// dfe6f8722273: gandautama/PipeCNN
//   at 0e92d3903685993beaf8dc98cec3155f2be54067, aoc 17.0.0 Build 595
//   eclipse/pipe_2_0/conv/reports/lib/report_data.js
// 5d88e744abf4: LeRatonLaveurSolitaire/A4-TP2_CPU_FPGA_OpenCL
//   at 6fbb0b822fe6c20fbf5289d4650bf188bd6bbf6d, aoc 18.1.0 Build 625
//   sobel_filter_opencv/sobel_filter/bin/gradient/reports/lib/report_data.js

// A plain sum of products.
__kernel __attribute__((max_global_work_dim(0)))
void dot_product(__global const float* restrict out_of, __global float* restrict out) {
  float a[16];
  for (int i = 0; i < 16; ++i) {
    a[i] = out_of[i];
  }
  float sum = 0.0f;
  for (int j = 0; j < 16; j++) {  // aoc: 1 [230f58b93b64 fnnls:301]
    sum += a[j] * a[15 - j];
  }
  out[0] = sum;
}

// Two loops made one: the sum starts anew in the flattened loop, behind a select.
__kernel __attribute__((max_global_work_dim(0)))
void coalesced_sum(__global const float* restrict m, __global const float* restrict v,
                   __global float* restrict out) {
  float sums[10];
  #pragma loop_coalesce 2
  #pragma ivdep
  for (int i = 0; i < 10; ++i) {  // aoc: higher [230f58b93b64 fnnls:66]
    float sum = 0.0f;
    #pragma unroll 1
    #pragma ivdep
    for (int k = 0; k < 10; ++k) {
      sum += m[k * 10 + i] * v[k];
    }
    sums[i] = sum;
  }
  #pragma unroll 1
  for (int i = 0; i < 10; ++i) {
    out[i] = sums[i];
  }
}

// The least ratio and where it is: comparisons and selects alone.
__kernel __attribute__((max_global_work_dim(0)))
void least_ratio(__global const float* restrict in, __global int* restrict out) {
  float s[10];
  float f[10];
  #pragma unroll 1
  for (int i = 0; i < 10; ++i) {
    s[i] = in[i];
    f[i] = in[10 + i];
  }
  float least = FLT_MAX;
  int at = 0;
  #pragma unroll 1
  for (int i = 0; i < 10; ++i) {  // aoc: 1 [230f58b93b64 fnnls:604]
    if (s[i] <= 0.0f) {
      const float ratio = f[i] / (f[i] - s[i]);
      if (ratio < least) {
        least = ratio;
        at = i;
      }
    }
  }
  out[0] = at;
}

// Elements picked: the place of the next one is a counter under a condition.
__kernel __attribute__((max_global_work_dim(0)))
void picked(__global const float* restrict in, __global float* restrict out) {
  float from[10];
  float to[10];
  bool skip[10];
  #pragma unroll 1
  for (int i = 0; i < 10; ++i) {
    from[i] = in[i];
    skip[i] = in[i] < 0;
  }
  PICK: for (unsigned i = 0, j = 0; i < 10; ++i) {  // aoc: 1 [230f58b93b64 fnnls:411]
    if (skip[i])
      continue;
    to[j] = from[i];
    j++;
  }
  #pragma unroll 1
  for (int i = 0; i < 10; ++i) {
    out[i] = to[i];
  }
}

// A private array that is small enough for registers is one variable: elements updated in place
// depend on one another, though each is touched once.
__kernel void moved_in_registers(__global float* restrict out, float share, int count) {
  float f[10];
  float s[10];
  #pragma unroll 1
  for (int i = 0; i < 10; ++i) {
    f[i] = out[i];
    s[i] = out[10 + i];
  }
  #pragma unroll 1
  for (int i = 0; i < count; ++i) {  // aoc: higher [269faf9b0c9c inplace_fnnls:616]
    f[i] += share * (s[i] - f[i]);
  }
  #pragma unroll 1
  for (int i = 0; i < 10; ++i) {
    out[i] = f[i];
  }
}

// A shift register of partial sums.
channel char8 operands;
channel int results;

__kernel __attribute__((max_global_work_dim(0)))
void partial_sums(uint outputs, uint steps) {
  int partial[6];
  for (uint k = 0; k < outputs; k++) {  // aoc: outer [dfe6f8722273 coreConv:422]
    #pragma unroll
    for (int p = 0; p < 6; p++) {
      partial[p] = 0;
    }
    for (int j = 0; j < steps; j++) {  // aoc: 1 [dfe6f8722273 coreConv:439]
      char8 value = read_channel_intel(operands);
      int sum = partial[5] + value.s0 * value.s1;
      #pragma unroll
      for (int p = 5; p > 0; p--) {
        partial[p] = partial[p - 1];
      }
      partial[0] = sum;
    }
    int total = 0;
    #pragma unroll
    for (int p = 0; p < 6; p++) {
      total += partial[p];
    }
    write_channel_intel(results, total);
  }
}

// A long shift register in a while loop, with loads and stores of different arrays.
__kernel void shifted_rows(global uint* restrict in, global uint* restrict out, const int count) {
  int rows[2 * 64 + 3];
  int at = -(2 * 64 + 3);
  while (at != count) {  // aoc: 1 [5d88e744abf4 gradient:20]
    #pragma unroll
    for (int i = 2 * 64 + 2; i > 0; --i) {
      rows[i] = rows[i - 1];
    }
    rows[0] = at >= 0 ? in[at] : 0;
    uint sum = 0;
    #pragma unroll
    for (int i = 0; i < 3; ++i) {
      sum += rows[i * 64];
    }
    if (at >= 0) {
      out[at] = sum;
    }
    at++;
  }
}
