// Order of the output tiles: groups of row tiles; in a group, for each column tile, each row tile.
// A job (row tile, column tile) is handed to both decoders in one cycle, once its
// operands are on chip and its result slot is free. Jobs are valid/ready, one every other cycle at
// most; none takes less than two.
// Results are strips of c_steps K-steps: runs of column tiles of a row tile or, with transpose, all
// row tiles of a column tile (the group then holds every row tile).
// want_a_o and want_b_o: what the next job waits for, as of the cycle before.
module pu_schedule (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic start_i,
  input  pu_pkg::engine_t cfg_i,
  input  pu_pkg::tile_t a_loaded_i,
  input  pu_pkg::seq_t b_loaded_i,
  input  pu_pkg::tile_t freed_i,
  output logic job_valid_o,
  input  logic job_ready_i,
  output pu_pkg::a_row_t a_base_o,
  output pu_pkg::b_row_t b_base_o,
  output pu_pkg::result_row_t r_base_o,
  output logic [3:0] r_slot_o,
  output pu_pkg::tile_t column_o,
  output pu_pkg::tile_t step_o,
  output logic last_step_o,
  output logic last_column_o,
  output logic last_row_o,
  output logic first_tile_o,
  output logic last_tile_o,
  output pu_pkg::tile_t group_end_o,
  output logic want_a_o,
  output logic want_b_o
);
  localparam int unsigned ARowBits = pu_pkg::ARowBits;
  localparam int unsigned BRowBits = pu_pkg::BRowBits;
  localparam int unsigned ResultRowBits = pu_pkg::ResultRowBits;
  localparam int unsigned FreeBits = pu_pkg::TileBits + 1;
  logic busy_q, ready_q;
  pu_pkg::tile_t start_q, row_q, column_q, step_q, end_d, end_q, rest;
  pu_pkg::seq_t strip_q;
  pu_pkg::a_row_t a_start_q, a_base_q, a_next_q;
  pu_pkg::b_row_t b_base_q, b_next_q;
  logic [7:0] a_start_slot_q, a_slot_q, b_slot_q, a_slot_next_q, b_slot_next_q;
  // Results: number of the strip, its slot and where that starts.
  pu_pkg::tile_t r_start_seq_q, r_seq_q;
  pu_pkg::result_row_t r_start_q, r_base_q, r_next_q;
  logic [7:0] r_start_slot_q, r_slot_q, r_slot_next_q;
  logic a_here, b_here, r_free, fire, last_row_q, last_column_q, part_end_q;

  assign rest = cfg_i.m_tiles - start_q;
  assign end_d = (rest > cfg_i.group) ? start_q + cfg_i.group : cfg_i.m_tiles;
  assign a_here = a_loaded_i > row_q;
  assign b_here = b_loaded_i > strip_q;
  assign r_free = FreeBits'(r_seq_q) < FreeBits'(freed_i) + FreeBits'(cfg_i.r_slots);
  assign job_valid_o = ready_q;
  assign fire = ready_q && job_ready_i;
  assign a_base_o = a_base_q;
  assign b_base_o = b_base_q;
  assign r_base_o = r_base_q;
  assign r_slot_o = r_slot_q[3:0];
  assign column_o = column_q;
  assign step_o = cfg_i.transpose ? row_q : step_q;
  assign last_step_o = cfg_i.transpose ? last_row_q : part_end_q;
  assign last_column_o = last_column_q;
  assign last_row_o = last_row_q;
  assign first_tile_o = row_q == '0;
  assign last_tile_o = row_q + 1'b1 == cfg_i.m_tiles;
  assign group_end_o = end_q;

  // Slots are rings: the one after the last is the first. What follows is there a cycle after
  // what it follows; jobs are two cycles apart.
  logic a_wrap, b_wrap, r_wrap;
  assign a_wrap = a_slot_q + 8'd1 == cfg_i.a_slots;
  assign b_wrap = b_slot_q + 8'd1 == cfg_i.b_slots;
  assign r_wrap = r_slot_q + 8'd1 == cfg_i.r_slots;
  always_ff @(posedge clk_i) begin
    a_slot_next_q <= a_wrap ? 8'd0 : a_slot_q + 8'd1;
    b_slot_next_q <= b_wrap ? 8'd0 : b_slot_q + 8'd1;
    r_slot_next_q <= r_wrap ? 8'd0 : r_slot_q + 8'd1;
    a_next_q <= a_wrap ? '0 : a_base_q + ARowBits'(cfg_i.k_stride);
    b_next_q <= b_wrap ? '0 : b_base_q + BRowBits'(cfg_i.k_stride);
    r_next_q <= r_wrap ? '0 : r_base_q + ResultRowBits'(cfg_i.r_stride);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q <= 1'b0;
      ready_q <= 1'b0;
      start_q <= '0;
      end_q <= '0;
    end else if (start_i) begin
      busy_q <= 1'b1;
      ready_q <= 1'b0;
      start_q <= '0;
      end_q <= (cfg_i.m_tiles > cfg_i.group) ? cfg_i.group : cfg_i.m_tiles;
    end else if (fire) begin
      // The next job is looked at when the counters have moved.
      ready_q <= 1'b0;
      if (last_row_q && last_column_q) begin
        start_q <= end_q;
        if (end_q == cfg_i.m_tiles) busy_q <= 1'b0;
      end
    end else begin
      ready_q <= ready_q || (busy_q && end_q != start_q && a_here && b_here && r_free);
      if (busy_q && end_q == start_q) end_q <= end_d;
    end
  end

  always_ff @(posedge clk_i) begin
    want_a_o <= busy_q && !a_here;
    want_b_o <= busy_q && !b_here;
    // Of the job that waits: it has been looked at for a cycle when it is ready.
    last_row_q <= row_q + 1'b1 == end_q;
    last_column_q <= column_q + 1'b1 == cfg_i.n_tiles;
    part_end_q <= step_q + 1'b1 == cfg_i.c_steps || column_q + 1'b1 == cfg_i.n_tiles;
    if (start_i) begin
      row_q <= '0;
      column_q <= '0;
      step_q <= '0;
      strip_q <= '0;
      a_start_q <= '0;
      a_base_q <= '0;
      b_base_q <= '0;
      a_start_slot_q <= 8'd0;
      a_slot_q <= 8'd0;
      b_slot_q <= 8'd0;
      r_start_seq_q <= '0;
      r_seq_q <= '0;
      r_start_q <= '0;
      r_base_q <= '0;
      r_start_slot_q <= 8'd0;
      r_slot_q <= 8'd0;
    end else if (fire) begin
      row_q <= row_q + 1'b1;
      a_base_q <= a_next_q;
      a_slot_q <= a_slot_next_q;
      if (last_row_q) begin
        column_q <= column_q + 1'b1;
        step_q <= part_end_q ? '0 : step_q + 1'b1;
        b_slot_q <= b_slot_next_q;
        b_base_q <= b_next_q;
        if (!(cfg_i.b_resident && last_column_q)) strip_q <= strip_q + 1'b1;
        else strip_q <= '0;
        if (last_column_q) begin
          column_q <= '0;
          step_q <= '0;
          a_start_q <= a_next_q;
          a_start_slot_q <= a_slot_next_q;
        end else begin
          row_q <= start_q;
          a_base_q <= a_start_q;
          a_slot_q <= a_start_slot_q;
        end
      end
      // A result strip is left at the end of its run; until then the group's rows come again.
      if (!cfg_i.transpose || last_row_q) begin
        r_seq_q <= r_seq_q + 1'b1;
        r_base_q <= r_next_q;
        r_slot_q <= r_slot_next_q;
      end
      if (!cfg_i.transpose && last_row_q) begin
        if (part_end_q) begin
          r_start_seq_q <= r_seq_q + 1'b1;
          r_start_q <= r_next_q;
          r_start_slot_q <= r_slot_next_q;
        end else begin
          r_seq_q <= r_start_seq_q;
          r_base_q <= r_start_q;
          r_slot_q <= r_start_slot_q;
        end
      end
    end
  end

  logic unused;
  assign unused = ^cfg_i;
endmodule
