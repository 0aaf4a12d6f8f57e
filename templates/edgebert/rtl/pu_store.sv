// Writes strips of C to external memory, in the layout the loader reads: c_stride / MasksPerBeat
// mask beats, data beats, and the descriptor (number of data beats). A strip is written while it is
// made: a mask beat when its vectors are there, a data beat when every lane has its value or the
// strip is finished; the descriptor last. vector_*: a vector of slot vector_slot_i is written to C.
// Order: groups of c_group strips, the last of what is left; in a group, for each of c_parts parts,
// each strip. Lanes that have no more values are written as zero. mem is valid/ready. count_i is of
// the slot that slot_o named a cycle before. stored_o strips are written; stored_all_o: all.
module pu_store (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic start_i,
  input  pu_pkg::engine_t cfg_i,
  input  logic vector_valid_i,
  input  logic vector_first_i,
  input  logic vector_last_i,
  input  logic [3:0] vector_slot_i,
  input  pu_pkg::c_row_t vector_index_i,
  output logic [3:0] slot_o,
  input  logic [pu_pkg::Lanes-1:0][pu_pkg::CRowBits:0] count_i,
  output logic re_o,
  output pu_pkg::c_row_t raddr_o,
  input  logic [pu_pkg::MasksPerBeat-1:0][pu_pkg::Lanes-1:0] masks_i,
  input  logic [pu_pkg::Lanes-1:0][pu_pkg::LaneBits-1:0] data_i,
  output logic mem_valid_o,
  input  logic mem_ready_i,
  output pu_pkg::addr_t mem_addr_o,
  output logic [pu_pkg::Lanes-1:0][pu_pkg::LaneBits-1:0] mem_data_o,
  output pu_pkg::tile_t stored_o,
  output logic stored_all_o
);
  localparam int unsigned Lanes = pu_pkg::Lanes;
  localparam int unsigned RowBits = pu_pkg::CRowBits;
  localparam int unsigned TileBits = pu_pkg::TileBits;
  localparam int unsigned BeatBits = Lanes * pu_pkg::LaneBits;
  localparam int unsigned MasksPerBeat = pu_pkg::MasksPerBeat;
  typedef enum logic [1:0] {Idle, Body, Desc, Drain} state_e;
  state_e state_q;
  pu_pkg::tile_t pending_q;
  logic [3:0] slot_q;
  pu_pkg::c_row_t base_q;
  // Next data beat, next mask beat.
  pu_pkg::addr_t addr_q, mask_addr_q, home_q, desc_q;
  // Where the group's first part begins, the part under way, and the following group.
  pu_pkg::addr_t part_home_q, part_desc_q, next_home_q, next_desc_q;
  pu_pkg::addr_t home_next, desc_next;
  pu_pkg::tile_t row_q, start_q, end_q, part_q;
  // after_q, mask_after_q: behind index_q, behind mask_index_q.
  logic [RowBits:0] index_q, after_q, mask_index_q, mask_after_q, index1_q;
  logic advance, step, take, take_mask, v_q, is_mask_q, is_desc_q;
  // Of the slot at hand: vectors so far, and whether it has any; of the next beats, what is there.
  logic [15:0] begun_q;
  (* ram_style = "distributed" *) pu_pkg::c_row_t last_vector [16];
  pu_pkg::c_row_t last_vector_q;
  logic [Lanes-1:0] has_this, has_next;
  logic this_end, next_end, this_mask, next_mask;
  logic here, some, whole, mask_here_q, data_here_q, complete_q;
  pu_pkg::addr_t addr1_q;
  logic [15:0] vectors;
  // Of the strip under way, and what follows: they keep still long before they are read.
  logic last_row_q, last_part_q, first_part_q, last_slot_q, last_strip_q;
  pu_pkg::tile_t end_next_q;
  pu_pkg::addr_t home_step_q, desc_step_q, part_home_next_q, part_desc_next_q;

  assign vectors = 16'({cfg_i.c_steps, {pu_pkg::RowBits{1'b0}}});
  assign slot_o = slot_q;
  assign advance = !v_q || mem_ready_i;
  // Of the next data beat, behind the one that is taken: whether any lane or every one has a value.
  assign some = take ? has_next != '0 : has_this != '0;
  assign whole = take ? has_next == '1 : has_this == '1;
  // Masks first.
  assign take_mask = advance && state_q == Body && mask_here_q;
  assign take = advance && state_q == Body && !mask_here_q && data_here_q;
  assign step = advance && (state_q == Desc || (state_q == Body && (mask_here_q || data_here_q)));
  assign re_o = take || take_mask;
  assign raddr_o = mask_here_q ? (base_q >> 3) + mask_index_q[RowBits-1:0]
                               : base_q + index_q[RowBits-1:0];
  // Masks at hand and the ones behind them: whether that is past the last, whether they are there.
  assign this_end = 13'(mask_index_q[RowBits-1:0]) == cfg_i.c_stride[15:3];
  assign next_end = 13'(mask_after_q[RowBits-1:0]) == cfg_i.c_stride[15:3];
  assign this_mask = !this_end
      && (pending_q != '0 || last_vector_q >> 3 > mask_index_q[RowBits-1:0]);
  assign next_mask = !next_end
      && (pending_q != '0 || last_vector_q >> 3 > mask_after_q[RowBits-1:0]);
  assign here = state_q == Body && begun_q[slot_q];
  for (genvar i = 0; i < Lanes; i++) begin : gen_has
    assign has_this[i] = count_i[i] > index_q;
    assign has_next[i] = count_i[i] > after_q;
  end
  assign mem_valid_o = v_q;
  assign mem_addr_o = addr1_q;

  assign home_next = first_part_q ? home_step_q : next_home_q;
  assign desc_next = first_part_q ? desc_step_q : next_desc_q;

  // Vector masks past the tile's end are zero (a beat holds eight vectors).
  logic [pu_pkg::MasksPerBeat-1:0][pu_pkg::Lanes-1:0] masks;
  for (genvar s = 0; s < MasksPerBeat; s++) begin : gen_mask
    assign masks[s] = (16'({index1_q, 3'd0}) + 16'(s) < vectors) ? masks_i[s] : '0;
  end

  always_comb begin
    mem_data_o = '0;
    if (v_q) begin
      if (is_desc_q) begin
        mem_data_o = BeatBits'(index_q);
      end else if (is_mask_q) begin
        mem_data_o = masks;
      end else begin
        for (int unsigned i = 0; i < Lanes; i++) begin
          if (index1_q < count_i[i]) mem_data_o[i] = data_i[i];
        end
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Idle;
      pending_q <= '0;
      begun_q <= '0;
      v_q <= 1'b0;
      stored_o <= '0;
      stored_all_o <= 1'b0;
    end else if (start_i) begin
      state_q <= Idle;
      pending_q <= '0;
      begun_q <= '0;
      v_q <= 1'b0;
      stored_o <= '0;
      stored_all_o <= 1'b0;
    end else begin
      pending_q <= pending_q + TileBits'(vector_valid_i && vector_last_i)
          - TileBits'(state_q == Drain && !v_q);
      if (vector_valid_i && vector_first_i) begin
        begun_q[vector_slot_i] <= 1'b1;
      end
      if (state_q == Drain) begun_q[slot_q] <= 1'b0;
      if (advance) v_q <= step;
      unique case (state_q)
        Idle: state_q <= Body;
        Body: if (complete_q) state_q <= Desc;
        Desc: if (step) state_q <= Drain;
        Drain: if (!v_q) begin
          state_q <= Idle;
          stored_o <= stored_o + 1'b1;
          stored_all_o <= last_strip_q;
        end
        default: state_q <= Idle;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    first_part_q <= part_q == '0;
    last_part_q <= part_q + 1'b1 == cfg_i.c_parts;
    last_row_q <= row_q + 1'b1 == end_q;
    last_slot_q <= 5'(slot_q) + 5'd1 == cfg_i.c_slots;
    last_strip_q <= stored_o + 1'b1 == cfg_i.c_strips;
    end_next_q <= (cfg_i.c_rows - end_q > cfg_i.c_group) ? end_q + cfg_i.c_group : cfg_i.c_rows;
    home_step_q <= home_q + cfg_i.c_pitch;
    desc_step_q <= desc_q + 1'b1;
    part_home_next_q <= part_home_q + cfg_i.c_part_pitch;
    part_desc_next_q <= part_desc_q + pu_pkg::AddrBits'(cfg_i.c_rows);
    if (start_i) begin
      slot_q <= 4'd0;
      base_q <= '0;
      home_q <= cfg_i.c_base;
      desc_q <= cfg_i.c_desc;
      part_home_q <= cfg_i.c_base;
      part_desc_q <= cfg_i.c_desc;
      row_q <= '0;
      start_q <= '0;
      part_q <= '0;
      end_q <= (cfg_i.c_rows > cfg_i.c_group) ? cfg_i.c_group : cfg_i.c_rows;
    end
    if (state_q == Idle) begin
      index_q <= '0;
      after_q <= (RowBits+1)'(1);
      mask_index_q <= '0;
      mask_after_q <= (RowBits+1)'(1);
      mask_addr_q <= home_q;
      addr_q <= home_q + pu_pkg::AddrBits'(cfg_i.c_stride[15:3]);
    end
    if (vector_valid_i) last_vector[vector_slot_i] <= vector_index_i;
    last_vector_q <= (vector_valid_i && vector_slot_i == slot_q) ? vector_index_i
                                                                 : last_vector[slot_q];
    data_here_q <= here && (pending_q != '0 ? some : whole);
    complete_q <= here && pending_q != '0 && !some && (take_mask ? next_end : this_end);
    mask_here_q <= here && (take_mask ? next_mask : this_mask);
    if (take) begin
      index_q <= after_q;
      after_q <= after_q + 1'b1;
      addr_q <= addr_q + 1'b1;
    end
    if (take_mask) begin
      mask_index_q <= mask_after_q;
      mask_after_q <= mask_after_q + 1'b1;
      mask_addr_q <= mask_addr_q + 1'b1;
    end
    if (step) begin
      index1_q <= mask_here_q ? mask_index_q : index_q;
      addr1_q <= mask_here_q ? mask_addr_q : (state_q == Desc) ? desc_q : addr_q;
      is_mask_q <= mask_here_q;
      is_desc_q <= state_q == Desc;
    end
    if (state_q == Drain && !v_q) begin
      row_q <= row_q + 1'b1;
      home_q <= home_step_q;
      desc_q <= desc_step_q;
      if (last_row_q) begin
        if (first_part_q) begin
          next_home_q <= home_step_q;
          next_desc_q <= desc_step_q;
        end
        if (last_part_q) begin
          part_q <= '0;
          start_q <= end_q;
          end_q <= end_next_q;
          home_q <= home_next;
          desc_q <= desc_next;
          part_home_q <= home_next;
          part_desc_q <= desc_next;
        end else begin
          part_q <= part_q + 1'b1;
          row_q <= start_q;
          home_q <= part_home_next_q;
          desc_q <= part_desc_next_q;
          part_home_q <= part_home_next_q;
          part_desc_q <= part_desc_next_q;
        end
      end
      slot_q <= last_slot_q ? 4'd0 : slot_q + 4'd1;
      base_q <= last_slot_q ? '0 : base_q + RowBits'(cfg_i.c_stride);
    end
  end
  logic unused;
  assign unused = ^cfg_i;

`ifndef SYNTHESIS
  logic held_q;
  logic [BeatBits-1:0] held_data_q;
  pu_pkg::addr_t held_addr_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) held_q <= 1'b0;
    else held_q <= mem_valid_o && !mem_ready_i;
  end
  always_ff @(posedge clk_i) begin
    held_addr_q <= mem_addr_o;
    held_data_q <= mem_data_o;
    if (held_q && (!mem_valid_o || mem_addr_o != held_addr_q || mem_data_o != held_data_q)) begin
      $fatal(1, "write not held");
    end
  end
`endif // SYNTHESIS
endmodule
