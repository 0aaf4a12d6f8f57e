// Loops around loops: what may change between iterations, and what is carried across.
// 7673c26d2ffa: OxfordSKA/FPGA_Gridding
//   at 4800f19c62d522e231c3fa00e8b35f51e029b214, aoc 17.1.1 Build 273
//   gridding_kernels/reports/lib/report_data.js
// 476c72de500f: vkhristenko/test-regression
//   at 574c6e330f03c1f9bdd7d43e728b35361752a6b0, aoc 17.1.1 Build 273
//   fpga_reports/fnnls_channels_pass_thru_channels_unroll1/reports/lib/report_data.js
// 230f58b93b64: vkhristenko/test-regression
//   at 21178914112a2753f52e3955a4ad40242789f01d, aoc 17.1.1 Build 273
//   fpga_reports/fnnls_original/full_compilation/reports/lib/report_data.js
// 0e1c47cc961f: vkhristenko/test-regression
//   at 92befdfdedda344e12e06c2363096b8a56c07c75, aoc 17.1.1 Build 273
//   fpga_reports/swi_unroll_loop_coalesce_try_fix_warnings_remove_swap_loops_try_remove_stalls_i
//   nline_local_ivdep/reports/lib/report_data.js
// fdbcc180d60f: OxfordSKA/FPGA_Gridding
//   at 4899ecd5a9429ce3977664d546f711ebbfa07a7c, aoc 17.1.1 Build 273
//   gridding_kernels/reports/lib/report_data.js
// d4a04e73470d: redrob1n/SeniorDesign
//   at 22da74c8b796664bc20c21d5d16fa0881a40e754, aoc 16.1 (repository logs)
//   OpenCL/single_kernel/reports/lib/report_data.js
// 1d4baf3a87a0: pc2/hpcc_fpga_eval
//   at 47428be166eeeb20134d292432b884d5d355c555, aoc 19.4.0 Build 64
//   data_artifacts/Intel_PAC_D5005/LINPACK/reports/lib/report_data.js
// fc32119b94ef: OxfordSKA/FPGA_Gridding
//   at 7ef16f7e00173f8fdad03d8dd2e99bab5cc4ce9f, aoc 17.1.1 Build 273
//   reports/lib/report_data.js
// 40092e7f28ae: OxfordSKA/FPGA_Gridding
//   at c31704d1b1478e1b2a00cb0fc5533765e66a82da, aoc 17.1.1 Build 273
//   gridding_kernels_tile/reports/lib/report_data.js
// 6073104dfba5: khrd/OpenCL-intelFPGA-
//   at f24de46b404af939a1b037778a14b3cdba73a011, aoc 17.0.2 Build 297
//   moving_average2-2/bin/moving_average_many/reports/lib/report_data.js

#define ROWS 12

// The bound of the inner loops is fixed over the outer one, though not known when compiled.
__kernel __attribute__((max_global_work_dim(0)))
void fixed_nest(__global const float2* restrict plane, __global float2* restrict out, int reach,
                int pitch) {
  float2 window[64][64];
  for (char r = -reach; r <= reach; r++) {  // aoc: outer [7673c26d2ffa oskar_grid_wproj_cl:103]
    for (char c = -reach; c <= reach; c++) {  // aoc: 1 [7673c26d2ffa oskar_grid_wproj_cl:104]
      window[r + reach][c + reach] = plane[r * pitch + c];
    }
  }
  for (char r = -reach; r <= reach; r++) {  // aoc: outer [7673c26d2ffa oskar_grid_wproj_cl:138]
    for (char c = -reach; c <= reach; c++) {  // aoc: 1 [7673c26d2ffa oskar_grid_wproj_cl:139]
      out[r * pitch + c] = window[r + reach][c + reach];
    }
  }
}

// A fixed nest stays pipelined where a sum is carried within each row.
__kernel __attribute__((max_global_work_dim(0)))
void fixed_products(__global const float* restrict in, __global float* restrict out) {
  float block[ROWS * ROWS];
  float weights[ROWS];
  #pragma unroll 1
  for (unsigned i = 0; i < ROWS * ROWS; i++)  // aoc: 1 [476c72de500f dispatcher_matrix_units:44]
    block[i] = in[i];
  #pragma unroll 1
  for (unsigned i = 0; i < ROWS; ++i)  // aoc: 1 [476c72de500f dispatcher_matrix_units:48]
    weights[i] = in[ROWS * ROWS + i];
  #pragma unroll 1
  for (unsigned i = 0; i < ROWS; i++) {  // aoc: outer [476c72de500f dispatcher_matrix_units:64]
    float sum = 0.0f;
    #pragma unroll 1
    for (unsigned k = 0; k < ROWS; ++k) {  // aoc: 1 [476c72de500f dispatcher_matrix_units:67]
      sum += block[k * ROWS + i] * weights[k];
    }
    out[i] = sum;
  }
}

// The inner trip count grows, and the array that is filled is read again later.
__kernel __attribute__((max_global_work_dim(0)))
void growing_rows(__global const float* restrict in, __global float* restrict out, int size) {
  float root[ROWS * ROWS];
  for (int i = 0; i < size; ++i) {  // aoc: no [230f58b93b64 fnnls:174]
    float squares = 0.0f;
    for (int j = 0; j < i; ++j) {  // aoc: no [230f58b93b64 fnnls:178]
      float sum = 0.0f;
      for (int k = 0; k < j; ++k) {  // aoc: 1 [230f58b93b64 fnnls:181]
        sum += root[i * ROWS + k] * root[j * ROWS + k];
      }
      root[i * ROWS + j] = (in[i * ROWS + j] - sum) / root[j * ROWS + j];
      squares += root[i * ROWS + j] * root[i * ROWS + j];
    }
    root[i * ROWS + i] = sqrt(in[i * ROWS + i] - squares);
  }
  for (int i = 0; i < size; ++i) {
    out[i] = root[i * ROWS + i];
  }
}

// The same backwards: a triangular solve from the last row up.
__kernel __attribute__((max_global_work_dim(0)))
void backward_solve(__global const float* restrict lower, __global const float* restrict right,
                    __global float* restrict out, int size) {
  float root[ROWS * ROWS];
  float found[ROWS];
  for (int i = 0; i < ROWS * ROWS; ++i) {
    root[i] = lower[i];
  }
  for (int i = size - 2; i >= 0; --i) {  // aoc: no [0e1c47cc961f inplace_fnnls:320]
    float total = 0.0f;
    for (int j = i + 1; j < size; ++j) {
      total += root[j * ROWS + i] * found[j];
    }
    found[i] = (right[i] - total) / root[i * ROWS + i];
  }
  for (int i = 0; i < size; ++i) {
    out[i] = found[i];
  }
}

// Only one value is carried across an inner loop that grows: refused all the same.
__kernel __attribute__((max_global_work_dim(0)))
void carried_total(__global const float* restrict in, __global float* restrict out, int row) {
  float root[ROWS * ROWS];
  for (int i = 0; i < ROWS * ROWS; ++i) {
    root[i] = in[i];
  }
  float total = 0.0f;
  for (int col = 0; col < row; ++col) {  // aoc: no [0e1c47cc961f inplace_fnnls:206]
    float sum = 0.0f;
    for (int j = 0; j < col; ++j) {  // aoc: 1 [0e1c47cc961f inplace_fnnls:208]
      sum += root[row * ROWS + j] * root[col * ROWS + j];
    }
    float value = (in[row * ROWS + col] - sum) / root[col * ROWS + col];
    total -= value;
    root[row * ROWS + col] = value;
  }
  out[0] = total;
}

// The trip count is loaded, and what is added to lies on chip.
__kernel __attribute__((max_global_work_dim(0)))
void loaded_bounds(__global const int* restrict first, __global const int* restrict last,
                   __global const float2* restrict in, __global float2* restrict grid, int points) {
  for (int i = 0; i < points; ++i) {  // aoc: no [fdbcc180d60f oskar_grid_wproj_cl:47]
    int from = first[i];
    int to = last[i];
    for (int k = from; k <= to; ++k) {  // aoc: higher [fdbcc180d60f oskar_grid_wproj_cl:110]
      grid[k] += in[i];
    }
  }
}

// Inner loops under a condition, in a loop that ends when its data say so.
__kernel __attribute__((max_global_work_dim(0)))
void divergent(__global const float* restrict in, __global float* restrict out, unsigned steps) {
  float state[ROWS];
  float step[ROWS];
  bool taken[ROWS];
  int left = ROWS;
  #pragma unroll 1
  for (int i = 0; i < ROWS; ++i) {
    state[i] = in[i];
    taken[i] = false;
  }
  #pragma unroll 1
  for (unsigned iter = 0; iter < steps; ++iter) {  // aoc: no [230f58b93b64 fnnls:470]
    if (!left)
      break;
    float most = 0.0f;
    int at = 0;
    #pragma unroll 1
    for (int i = 0; i < ROWS; ++i) {  // aoc: 1 [230f58b93b64 fnnls:498]
      if (!taken[i]) {
        if (state[i] > most) {
          most = state[i];
          at = i;
        }
      }
    }
    taken[at] = true;
    --left;
    while (left > 0) {
      float least = FLT_MAX;
      #pragma unroll 1
      for (int i = 0; i < ROWS; ++i) {
        step[i] = taken[i] ? state[i] * 0.5f : state[i];
        if (step[i] < least)
          least = step[i];
      }
      if (least > 0.0f) {
        #pragma unroll 1
        for (int i = 0; i < ROWS; ++i)  // aoc: 1 [230f58b93b64 fnnls:587]
          if (!taken[i])
            state[i] = step[i];
        break;
      }
      --left;
    }
  }
  #pragma unroll 1
  for (int i = 0; i < ROWS; ++i) {  // aoc: 1 [230f58b93b64 fnnls:653]
    out[i] = state[i];
  }
}

// A loop under a condition on what is carried.
void keep(__global char* restrict to, char* restrict from, int size) {
  for (size_t i = 0; i < size; i++)  // aoc: 1 [d4a04e73470d genetic_algorithm:88]
    to[i] = from[i];
}

__kernel void best_so_far(__global const char* restrict in, __global char* restrict best, int rows,
                          int size, int limit) {
  char row[80];
  for (size_t r = 0; r < rows; r++) {  // aoc: no [d4a04e73470d genetic_algorithm:42]
    for (size_t i = 0; i < size; i++) {
      row[i] = in[r * 80 + i];
    }
    int score = row[0];
    if (score < limit) {
      limit = score;
      keep(best, row, size);
    }
  }
}

// One loop at a time in flight: then the trip count may change.
__kernel __attribute__((max_global_work_dim(0)))
void one_at_a_time(__global const float* restrict in, __global float* restrict out) {
  float left[ROWS][ROWS];
  float right[ROWS][ROWS];
  for (int i = 0; i < ROWS; i++) {
    #pragma unroll
    for (int j = 0; j < ROWS; j++) {
      left[i][j] = in[i * ROWS + j];
    }
  }
  #pragma max_concurrency 1
  for (int k = 0; k < ROWS; k++) {  // aoc: outer [1d4baf3a87a0 gefa:304]
    for (int j = k; j < ROWS; j++) {  // aoc: 1 [1d4baf3a87a0 gefa:375]
      #pragma unroll
      for (int i = 0; i < ROWS; i++) {
        right[j][i] = left[j][i] + left[k][i];
      }
    }
    for (int j = k; j < ROWS; j++) {
      #pragma unroll
      for (int i = 0; i < ROWS; i++) {
        left[j][i] = right[j][i];
      }
    }
  }
  for (int i = 0; i < ROWS; i++) {  // aoc: 1 [1d4baf3a87a0 gefa:394]
    #pragma unroll
    for (int j = 0; j < ROWS; j++) {
      out[i * ROWS + j] = right[i][j];
    }
  }
}

// Blocks that shrink, read from and written to the same global array.
void fetch_block(float block[8][8], __global float* restrict a, uint at, uint pitch) {
  for (int i = 0; i < 8; i++) {
    #pragma unroll
    for (int j = 0; j < 8; j++) {
      block[i][j] = a[at + i * pitch + j];
    }
  }
}

void keep_block(float block[8][8], __global float* restrict a, uint at, uint pitch) {
  for (int i = 0; i < 8; i++) {
    #pragma unroll
    for (int j = 0; j < 8; j++) {
      a[at + i * pitch + j] = block[i][j];
    }
  }
}

__kernel void shrinking_blocks(__global float* restrict a, uint blocks) {
  for (int d = 0; d < blocks; d++) {  // aoc: no [1d4baf3a87a0 gefa:468]
    float diagonal[8][8];
    fetch_block(diagonal, a, d * 64, 8);
    for (int inner = d + 1; inner < blocks; inner++) {  // aoc: outer [1d4baf3a87a0 gefa:492]
      float block[8][8];
      fetch_block(block, a, inner * 64, 8);
      #pragma unroll
      for (int i = 0; i < 8; i++) {
        block[i][i] += diagonal[i][i];
      }
      keep_block(block, a, inner * 64, 8);
    }
  }
}

// Tiles that only read tables and write a channel: nothing is carried, so the count may change.
channel float tile_values __attribute__((depth(8)));

__kernel __attribute__((max_global_work_dim(0)))
void independent_tiles(__global const int* restrict counts, __global const float* restrict in,
                       int tiles) {
  for (int t = 0; t < tiles; t++) {  // aoc: outer [fc32119b94ef oskar_process_all_tiles:82]
    const int count = counts[t];
    for (int i = 0; i < count; i++) {  // aoc: 1 [40092e7f28ae oskar_process_all_tiles:108]
      write_channel_intel(tile_values, in[t * 64 + i]);
    }
  }
}

// Four loops over one global array, one after the other: an iteration at a time, yet pipelined.
__kernel void one_after_another(__global const int* restrict in, __global float* restrict out,
                                int length, int lanes, int width) {
  for (int j = 0; j < lanes; j++) {  // aoc: outer [6073104dfba5 moving_average_many:11]
    int sum = 0;
    for (int i = 0; i < width; i++) {  // aoc: 1 [6073104dfba5 moving_average_many:14]
      sum += in[i * lanes + j];
    }
    out[(width - 1) * lanes + j] = sum;
    for (int i = width; i < length; i++) {  // aoc: 1 [6073104dfba5 moving_average_many:20]
      sum = sum - in[(i - width) * lanes + j] + in[i * lanes + j];
      out[i * lanes + j] = sum;
    }
    for (int i = width - 1; i < length; i++) {  // aoc: higher [6073104dfba5 moving_average_many:31]
      out[i * lanes + j] /= width;
    }
  }
}
