// What the author asked for: no pipelining, loops made one, loops partly unrolled.
// e2ba34d77bef: pc2/hpcc_fpga_eval
//   at 47428be166eeeb20134d292432b884d5d355c555, aoc 19.4.0 Build 64
//   data_artifacts/Intel_PAC_D5005/GEMM/reports/lib/report_data.js
// 7cec3c7e968f: pc2/hpcc_fpga_eval_21
//   at eb7f3cfd4f81756e482968d2fde8d465c3122de9, aoc 21.2.0 Build 67.4
//   synthesis_artifacts/LINPACK_SP/520n-21.2.0-20.4.0-iec/hpl_torus_IEC_ni_synth_reports/lib/
//   report_data.js
// ad23999cfb23: pc2/hpcc_fpga_eval
//   at d46986762ed1d30077d6500f195dbce4820364e2, aoc 19.4.0 Build 64
//   data_artifacts/Nallatech_520N/GEMM/reports/lib/report_data.js
// 1d4baf3a87a0: pc2/hpcc_fpga_eval
//   at 47428be166eeeb20134d292432b884d5d355c555, aoc 19.4.0 Build 64
//   data_artifacts/Intel_PAC_D5005/LINPACK/reports/lib/report_data.js

#define SIDE 32

// Two loops made one, in an outer pair whose pipelining is turned off.
__kernel void blocks_in_turn(__global const float* restrict a, __global float* restrict out,
                             const uint size) {
  #pragma loop_coalesce 2
  #pragma disable_loop_pipelining
  for (int x = 0; x < size; x++) {  // aoc: no [e2ba34d77bef gemm:184]
    #pragma disable_loop_pipelining
    for (int y = 0; y < size; y++) {
      float block[SIDE][SIDE];
      #pragma loop_coalesce 2
      for (int i = 0; i < SIDE; i++) {  // aoc: 1 [e2ba34d77bef gemm:197]
        for (int j = 0; j < SIDE / 8; j++) {
          #pragma unroll
          for (int u = 0; u < 8; u++) {
            block[i][j * 8 + u] = a[(y * size + x) * SIDE + i * size + j * 8 + u];
          }
        }
      }
      #pragma loop_coalesce
      for (int i = 0; i < SIDE; i++) {  // aoc: 1 [e2ba34d77bef gemm:222]
        for (int j = 0; j < SIDE; j++) {
          out[(y * size + x) * SIDE + i * size + j] = block[j][i];
        }
      }
    }
  }
}

// Rows in turn, by the author's word.
__kernel void rows_in_turn(__global float* restrict out) {
  local float block[SIDE][SIDE];
  #pragma disable_loop_pipelining
  for (int k = 0; k < SIDE; k++) {  // aoc: no [7cec3c7e968f left_update:753]
    float column[SIDE];
    for (int i = 0; i < SIDE; i++) {
      column[i] = block[i][k];
    }
    #pragma loop_coalesce
    #pragma ivdep
    for (int r = 0; r < SIDE; r++) {  // aoc: 1 [7cec3c7e968f left_update:807]
      #pragma ivdep
      for (int c = 0; c < SIDE - k; c++) {
        block[r][c + k] += column[r] * column[c];
      }
    }
  }
  #pragma loop_coalesce
  for (int i = 0; i < SIDE; i++) {  // aoc: 1 [7cec3c7e968f left_update:829]
    for (int j = 0; j < SIDE; j++) {
      out[i * SIDE + j] = block[i][j];
    }
  }
}

// Two loops made one around a third that stays: at least one.
__kernel void blocked_products(__global const float* restrict in, __global float* restrict out) {
  float a[SIDE][SIDE];
  float c[SIDE][SIDE];
  #pragma loop_coalesce 2
  for (int i = 0; i < SIDE; i++) {  // aoc: 1 [e2ba34d77bef gemm:197]
    for (int j = 0; j < SIDE; j++) {
      a[i][j] = in[i * SIDE + j];
    }
  }
  #pragma loop_coalesce 2
  for (int i = 0; i < SIDE; i++) {  // aoc: outer [ad23999cfb23 gemm:127]
    for (int j = 0; j < SIDE; j++) {
      float sum = 0;
      for (int k = 0; k < SIDE; k++) {  // aoc: 1 [ad23999cfb23 gemm:139]
        sum += a[i][k] * a[k][j];
      }
      c[i][j] = sum;
    }
  }
  #pragma loop_coalesce 2
  for (int i = 0; i < SIDE; i++) {
    for (int j = 0; j < SIDE; j++) {
      out[i * SIDE + j] = c[i][j];
    }
  }
}

// Partly unrolled, for a count that is known and one that is not.
__kernel __attribute__((max_global_work_dim(0)))
void partly_unrolled(__global const int* restrict in, __global int* restrict out, int width,
                     int offset) {
  int order[SIDE];
  for (int i = 0; i < SIDE; i++) {
    order[i] = in[i];
  }
  #pragma unroll 16
  for (int i = 0; i < SIDE; i++) {  // aoc: 1 [1d4baf3a87a0 gefa:483]
    out[offset * SIDE + i] = offset * SIDE + order[i];
  }
}

// To be unrolled, but the bound is not known when compiled: it stays a loop.
__kernel void not_unrolled(__global const float* restrict in, __global float* restrict out,
                           int from) {
  float a[SIDE];
  float b[SIDE];
  for (int i = 0; i < SIDE; i++) {
    a[i] = in[i];
  }
  #pragma unroll
  for (int i = from + 1; i < SIDE; i++) {  // aoc: 1 [1d4baf3a87a0 gefa:235]
    b[i] = a[i] * a[from];
  }
  for (int i = 0; i < SIDE; i++) {
    out[i] = b[i];
  }
}
