// Loops that read and write channels.
// e8f69bef867b: Xtra-Computing/On-the-fly-data-shuffling-for-OpenCL-based-FPGAs
//   at 03074a436dcdc6b7280399fb3a5ee7f5c6b767c3, aoc 16.1 (repository logs)
//   report/lib/report_data.js
// 7cec3c7e968f: pc2/hpcc_fpga_eval_21
//   at eb7f3cfd4f81756e482968d2fde8d465c3122de9, aoc 21.2.0 Build 67.4
//   synthesis_artifacts/LINPACK_SP/520n-21.2.0-20.4.0-iec/hpl_torus_IEC_ni_synth_reports/lib/
//   report_data.js
// 476c72de500f: vkhristenko/test-regression
//   at 574c6e330f03c1f9bdd7d43e728b35361752a6b0, aoc 17.1.1 Build 273
//   fpga_reports/fnnls_channels_pass_thru_channels_unroll1/reports/lib/report_data.js
// fe4e428d568e: pc2/hpcc_fpga_eval
//   at d46986762ed1d30077d6500f195dbce4820364e2, aoc 19.2.0 Build 57
//   data_artifacts/Nallatech_520N/b_eff/reports/lib/report_data.js
// 632cff0c294b: vkhristenko/test-regression
//   at 574c6e330f03c1f9bdd7d43e728b35361752a6b0, aoc 17.1.1 Build 273
//   fpga_reports/fnnls_channels_pass_thru_channels/reports/lib/report_data.js
// fc32119b94ef: OxfordSKA/FPGA_Gridding
//   at 7ef16f7e00173f8fdad03d8dd2e99bab5cc4ce9f, aoc 17.1.1 Build 273
//   reports/lib/report_data.js

typedef struct {
  bool end;
  uchar count;
  int data[8];
} message_t;

channel message_t messages __attribute__((depth(128)));
channel int words __attribute__((depth(128)));
channel uint marks __attribute__((depth(8)));

// As many words as the message holds: nothing else is carried, so the count may change.
__attribute__((task)) __kernel void unpack() {
  while (true) {  // aoc: outer [e8f69bef867b filter14:697]
    message_t message = read_channel_intel(messages);
    if (message.end) {
      write_channel_intel(marks, 0xffffffff);
    } else {
      for (int j = 0; j < message.count; j++) {  // aoc: 1 [e8f69bef867b filter15:721]
        write_channel_intel(words, message.data[j]);
      }
    }
  }
}

// Reads and writes under conditions that are fixed over the loop, two loops made one.
channel float from_left;
channel float from_top;
channel float to_right;
channel float to_bottom;

__kernel void route(const uint operation, const uint forward) {
  #pragma loop_coalesce
  for (uint row = 0; row < 64; row++) {  // aoc: 1 [7cec3c7e968f network_layer_bottomright:79]
    for (uint part = 0; part < 8; part++) {
      float right = 0;
      float bottom = 0;
      if ((operation & 1) && part < 8 - (row >> 3)) {
        right = read_channel_intel(from_left);
      }
      if (!(operation & 2)) {
        bottom = read_channel_intel(from_top);
      }
      if (forward & 1) {
        write_channel_intel(to_right, right);
      }
      if ((forward & 2) && part < 8 - (row >> 3)) {
        write_channel_intel(to_bottom, bottom);
      }
    }
  }
}

// A structure copied between a read and a write, in a kernel that never ends.
typedef struct {
  float values[10];
} vector_t;

channel vector_t vectors_in;
channel vector_t vectors_out;

__attribute__((max_global_work_dim(0))) __attribute__((autorun))
__attribute__((num_compute_units(2))) __kernel void copy_vectors() {
  while (true) {
    vector_t in = read_channel_intel(vectors_in);
    vector_t out;
    #pragma unroll 1
    for (unsigned i = 0; i < 10; i++)  // aoc: 1 [476c72de500f fnnls_worker_0_0_0:104]
      out.values[i] = in.values[i];
    write_channel_intel(vectors_out, out);
  }
}

// Send, then receive, with what was received carried over: an iteration at a time.
channel float8 line_out;
channel float8 line_in;

__kernel __attribute__((max_global_work_dim(0)))
void echo(const uint length, const uint repetitions) {
  float8 sent = 1.0f;
  float8 received = 0.0f;
  for (uint i = 0; i < repetitions; i++) {  // aoc: outer [fe4e428d568e recv:123]
    for (uint k = 0; k < length; k++) {
      received = read_channel_intel(line_in);
    }
    for (uint k = 0; k < length; k++) {
      write_channel_intel(line_out, sent);
    }
    sent = received;
  }
}

// Results taken as they come, and stored where they say.
typedef struct {
  uint at;
  float low;
  float high;
} result_t;

channel result_t finished[2];

__kernel __attribute__((max_global_work_dim(0)))
void collect(__global float* out, uint size) {
  uint done = 0;
  while (true) {  // aoc: higher [632cff0c294b collector:128]
    bool first;
    bool second;
    result_t a = read_channel_nb_intel(finished[0], &first);
    result_t b = read_channel_nb_intel(finished[1], &second);
    if (first) {
      out[2 * a.at] = a.low;
      out[2 * a.at + 1] = a.high;
      done++;
    }
    if (second) {
      out[2 * b.at] = b.low;
      out[2 * b.at + 1] = b.high;
      done++;
    }
    if (done == size)
      break;
  }
}

// Tiles by messages, with what is on chip carried through loops whose counts come in the message.
typedef struct {
  int count;
  int from;
  int to;
} order_t;

channel order_t orders;
channel float samples;

__attribute__((max_global_work_dim(0))) __attribute__((autorun))
__kernel void tiles_by_message() {
  float grid[64];
  bool more = true;
  while (1) {  // aoc: no [fc32119b94ef convEng:218]
    order_t order = read_channel_intel(orders);
    for (int i = 0; i < order.count; i++) {  // aoc: no [fc32119b94ef convEng:241]
      order_t range = read_channel_intel(orders);
      #pragma ivdep
      for (int k = range.from; k <= range.to; ++k) {  // aoc: 1 [fc32119b94ef convEng:253]
        grid[k] += 1.0f;
      }
    }
    for (int k = 0; k < 64; k++) {
      write_channel_intel(samples, grid[k]);
    }
  }
}
