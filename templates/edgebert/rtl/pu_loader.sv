// Fetches operand strips from external memory into the A and B buffers.
// Order: descriptors of A and of B (one beat each, low 16 bits = data beats), the table of the
// function, then strips as they are wanted: what the schedule waits for first, then the group's row
// tiles, then column tiles, then the next row tiles. A strip is its mask beats (MasksPerBeat buffer
// rows each) and its data beats; one of A may come in a_parts parts, each with masks, data and a
// descriptor of its own. A column tile brings its ParamBeats parameter beats the first time
// (p_load). The table has f_rows rows of TableBeats beats.
// req is valid/ready; responses come in order, one beat each, and are always taken. What a response
// is for (*_we_o, waddr_o, param_beat_o) is told a cycle later: its data has to wait as long.
module pu_loader (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic start_i,
  input  pu_pkg::engine_t cfg_i,
  output logic req_valid_o,
  input  logic req_ready_i,
  output pu_pkg::addr_t req_addr_o,
  input  logic resp_valid_i,
  input  logic [15:0] resp_count_i,
  input  logic want_a_i,
  input  logic want_b_i,
  input  pu_pkg::tile_t group_end_i,
  input  pu_pkg::tile_t a_freed_i,
  input  pu_pkg::seq_t b_freed_i,
  output pu_pkg::tile_t a_loaded_o,
  output pu_pkg::seq_t b_loaded_o,
  output logic a_mask_we_o,
  output logic a_data_we_o,
  output logic b_mask_we_o,
  output logic b_data_we_o,
  output logic param_we_o,
  output logic table_we_o,
  output pu_pkg::load_row_t waddr_o,
  output logic [2:0] param_beat_o
);
  localparam int unsigned RowBits = pu_pkg::LoadRowBits;
  localparam int unsigned TileBits = pu_pkg::TileBits;
  localparam int unsigned ParamBeats = pu_pkg::ParamBeats;
  localparam int unsigned TableBeats = pu_pkg::TableBeats;
  // States with the highest bit ask for beats.
  typedef enum logic [3:0] {
    Idle = 4'd0, Pick = 4'd1, Part = 4'd2,
    DescA = 4'd8, DescB = 4'd9, Table = 4'd10, Param = 4'd11, Mask = 4'd12, Data = 4'd13
  } state_e;
  typedef enum logic [2:0] {
    ToDescA, ToDescB, ToTable, ToParam, ToMaskA, ToMaskB, ToDataA, ToDataB
  } to_e;

  state_e state_q;
  logic is_a_q;
  pu_pkg::addr_t addr_q, a_addr_q, p_addr_q;
  // Beats still to be asked for, at least one while any are; last_beat_q: one.
  logic [15:0] left_q, left_d;
  pu_pkg::load_row_t dest_q, a_dest_q, param_dest_q;
  logic [2:0] beat_q;
  logic [7:0] a_slot_q, b_slot_q;
  pu_pkg::tile_t a_asked_q, b_column_q;
  pu_pkg::seq_t b_asked_q;
  logic b_more_q, first_pass_q, b_none_q;
  pu_pkg::tile_t pass_q, part_q, table_row_q, a_index_q;
  pu_pkg::addr_t part_addr_q;
  pu_pkg::load_row_t a_home_q, b_home_q;
  pu_pkg::addr_t b_home_addr_q;
  logic last_part;
  logic descs_here_q, last_part_q, params;
  logic a_can, b_can, a_more, pick_a, pick_b, take_a, take_b, req_fire, last_beat_q, meta_ready;
  logic final_beat, fresh_q, none_asked_q;
  // The descriptor of the first strip: not read yet; read now, and the cycle behind it.
  logic late_q, reread, reread_q, first_desc_q;
  logic [15:0] a_count, b_count, a_count_q, b_count_q, data_beats;
  // Of both, and of the strip at hand: whether it has no data beat, or one.
  logic a_empty_q, b_empty_q, a_one_q, b_one_q, no_data, one_data;
  pu_pkg::load_row_t meta_dest, resp_dest_q;
  logic [2:0] meta_to, meta_beat, resp_to_q, resp_beat_q;
  logic [15:0] resp_count_q;
  logic meta_final, meta_valid, resp_valid_q, resp_final_q;
  to_e to;

  // What is asked for next, decided a cycle before it is: between two picks there is another state,
  // and what is freed, loaded and wanted only grows meanwhile.
  logic pick_a_q, pick_b_q, all_asked_q;
  assign a_more = a_asked_q < cfg_i.m_tiles;
  assign a_can = a_more && a_asked_q < a_freed_i + TileBits'(cfg_i.a_slots);
  assign b_can = b_more_q && b_asked_q < b_freed_i + pu_pkg::SeqBits'(cfg_i.b_slots);
  always_comb begin
    pick_a = 1'b0;
    pick_b = 1'b0;
    if (a_can && want_a_i && (a_asked_q == '0 || a_asked_q == a_loaded_o)) pick_a = 1'b1;
    else if (b_can && want_b_i && b_asked_q == b_loaded_o) pick_b = 1'b1;
    else if (a_can && a_asked_q < group_end_i) pick_a = 1'b1;
    else if (b_can) pick_b = 1'b1;
    else if (a_can) pick_a = 1'b1;
  end
  always_ff @(posedge clk_i) begin
    pick_a_q <= pick_a;
    pick_b_q <= pick_b;
    all_asked_q <= !a_more && !b_more_q;
  end
  // The first strip's masks, but for the last beat, are asked for before its descriptor is here.
  assign take_a = state_q == Pick && (descs_here_q || none_asked_q) && pick_a_q;
  assign take_b = state_q == Pick && descs_here_q && pick_b_q;

  always_comb begin
    to = ToDescA;
    unique case (state_q)
      DescB: to = ToDescB;
      Table: to = ToTable;
      Param: to = ToParam;
      Mask: to = is_a_q ? ToMaskA : ToMaskB;
      Data: to = is_a_q ? ToDataA : ToDataB;
      default: to = ToDescA;
    endcase
  end

  assign last_part = !is_a_q || last_part_q;
  assign params = first_pass_q && cfg_i.p_load;
  // A strip's only mask beat waits for what is read and compared when a strip or a part begins.
  logic hold, can_ask, state_end;
  assign hold = fresh_q || late_q || reread_q;
  assign req_valid_o = state_q[3] && meta_ready && !(hold && last_beat_q);
  assign can_ask = state_q[3] && meta_ready && req_ready_i;
  assign req_fire = can_ask && !(hold && last_beat_q);
  assign state_end = can_ask && !hold && last_beat_q;
  // Of a strip, or of all descriptors.
  assign final_beat = last_beat_q && (state_q == DescB || (last_part
      && (state_q == Data || (state_q == Mask && no_data))));

  // Descriptors of the strips, and whether there is no data beat, or one; read while the strip's
  // masks are asked for.
  logic resp_desc_a, resp_desc_b, a_one, a_empty, b_one, b_empty;
  logic [17:0] resp_desc;
  assign resp_desc = {resp_count_q == 16'd1, resp_count_q == 16'd0, resp_count_q};
  pu_ram #(.Width(18), .AddrWidth(TileBits - 1)) u_desc_a (
    .clk_i(clk_i), .we_i(resp_desc_a), .waddr_i(resp_dest_q[TileBits-2:0]), .wdata_i(resp_desc),
    .re_i(take_a || state_q == Part || reread),
    .raddr_i(reread ? '0 : state_q == Part ? a_index_q[TileBits-2:0] : a_asked_q[TileBits-2:0]),
    .rdata_o({a_one, a_empty, a_count})
  );
  pu_ram #(.Width(18), .AddrWidth(TileBits - 1)) u_desc_b (
    .clk_i(clk_i), .we_i(resp_desc_b), .waddr_i(resp_dest_q[TileBits-2:0]), .wdata_i(resp_desc),
    .re_i(take_b), .raddr_i(b_column_q[TileBits-2:0]), .rdata_o({b_one, b_empty, b_count})
  );
  always_ff @(posedge clk_i) begin
    a_count_q <= a_count;
    b_count_q <= b_count;
    a_empty_q <= a_empty;
    b_empty_q <= b_empty;
    a_one_q <= a_one;
    b_one_q <= b_one;
    last_part_q <= part_q + 1'b1 == cfg_i.a_parts;
  end
  assign reread = late_q && first_desc_q;
  assign data_beats = is_a_q ? a_count_q : b_count_q;
  assign no_data = is_a_q ? a_empty_q : b_empty_q;
  assign one_data = is_a_q ? a_one_q : b_one_q;

  // What is asked for when a state ends, and whether it is one beat.
  logic last_d, b_strip_q, tile_q, part_beat_q, mask_beat_q, pick_b_beat_q;
  logic [15:0] pick_b_left_q;
  always_ff @(posedge clk_i) begin
    pick_b_left_q <= params ? 16'(ParamBeats) : 16'(cfg_i.k_stride[15:3]);
    pick_b_beat_q <= !params && mask_beat_q;
    b_strip_q <= 16'(cfg_i.b_strips) == 16'd1;
    tile_q <= 16'(cfg_i.m_tiles) == 16'd1;
    part_beat_q <= cfg_i.part_rows[15:3] == 13'd1;
    mask_beat_q <= cfg_i.k_stride[15:3] == 13'd1;
  end
  always_comb begin
    left_d = 16'(TableBeats);
    last_d = 1'b0;
    unique case (state_q)
      Idle: begin
        left_d = 16'(cfg_i.m_tiles);
        last_d = 16'(cfg_i.m_tiles) == 16'd1;
      end
      DescA: begin
        left_d = last_part_q ? 16'(cfg_i.b_strips) : 16'(cfg_i.m_tiles);
        last_d = last_part_q ? b_strip_q : tile_q;
      end
      Pick: begin
        left_d = pick_a_q ? 16'(cfg_i.part_rows[15:3]) : pick_b_left_q;
        last_d = pick_a_q ? part_beat_q : pick_b_beat_q;
      end
      Part: begin
        left_d = 16'(cfg_i.part_rows[15:3]);
        last_d = part_beat_q;
      end
      Param: begin
        left_d = 16'(cfg_i.k_stride[15:3]);
        last_d = mask_beat_q;
      end
      Mask: begin
        left_d = data_beats;
        last_d = one_data;
      end
      default: left_d = 16'(TableBeats);
    endcase
  end
  always_ff @(posedge clk_i) begin
    if (state_end || !state_q[3]) begin
      left_q <= left_d;
      last_beat_q <= last_d;
    end else if (req_fire) begin
      left_q <= left_q - 16'd1;
      last_beat_q <= left_q == 16'd2;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Idle;
      fresh_q <= 1'b0;
      late_q <= 1'b0;
      reread_q <= 1'b0;
    end else begin
      fresh_q <= 1'b0;
      reread_q <= reread;
      if (reread || state_q == Idle) late_q <= 1'b0;
      else if (take_a && !descs_here_q) late_q <= 1'b1;
      unique case (state_q)
        Idle: if (start_i) begin
          state_q <= DescA;
          fresh_q <= 1'b1;
        end
        DescA: if (state_end) begin
          state_q <= last_part_q ? DescB : DescA;
          fresh_q <= !last_part_q;
        end
        DescB: if (state_end) state_q <= (cfg_i.f_rows == '0) ? Pick : Table;
        Table: if (state_end && table_row_q + 1'b1 == cfg_i.f_rows) state_q <= Pick;
        Pick: begin
          if (take_a) begin
            state_q <= Mask;
            fresh_q <= 1'b1;
          end else if (take_b) begin
            state_q <= params ? Param : Mask;
            fresh_q <= !params;
          end else if (all_asked_q) begin
            state_q <= Idle;
          end
        end
        Part: if (descs_here_q) begin
          state_q <= Mask;
          fresh_q <= 1'b1;
        end
        Param: if (state_end) state_q <= Mask;
        Mask: if (state_end) state_q <= !no_data ? Data : last_part ? Pick : Part;
        Data: if (state_end) state_q <= last_part ? Pick : Part;
        default: state_q <= Idle;
      endcase
    end
  end

  // Where the next strips and parts lie; there a cycle after what they follow, which is long before
  // their use. Of B nothing is kept but the strip taken last.
  logic a_wrap, b_wrap, b_end_q, pass_end_q;
  logic [7:0] a_slot_next_q, b_slot_next_q;
  pu_pkg::load_row_t a_dest_next_q, b_dest_next_q, a_home_next_q;
  pu_pkg::addr_t a_addr_next_q, b_addr_next_q, part_addr_next_q;
  assign a_wrap = a_slot_q + 8'd1 == cfg_i.a_slots;
  assign b_wrap = b_none_q || b_slot_q + 8'd1 == cfg_i.b_slots;
  always_ff @(posedge clk_i) begin
    a_slot_next_q <= a_wrap ? 8'd0 : a_slot_q + 8'd1;
    a_dest_next_q <= a_wrap ? '0 : a_dest_q + RowBits'(cfg_i.k_stride);
    a_addr_next_q <= a_addr_q + cfg_i.a_pitch;
    a_home_next_q <= a_home_q + RowBits'(cfg_i.part_rows);
    part_addr_next_q <= part_addr_q + cfg_i.a_part_pitch;
    b_slot_next_q <= b_wrap ? 8'd0 : b_slot_q + 8'd1;
    b_dest_next_q <= b_wrap ? '0 : b_home_q + RowBits'(cfg_i.k_stride);
    b_addr_next_q <= (b_column_q == '0) ? cfg_i.b_base : b_home_addr_q + cfg_i.b_pitch;
    b_end_q <= b_column_q + 1'b1 == cfg_i.b_strips;
    pass_end_q <= pass_q + 1'b1 == cfg_i.b_passes;
  end
  // Where the next beat is: behind the one before or, where a state begins, what the state before
  // took beside its last beat, which keeps still until it is asked for. The beats of a column
  // tile's parameters, or of a row of the table, have one row. pick_b_*: what the next pick of B
  // begins with. All that a command begins with is taken again until it starts.
  logic begins, next_row, jumped_q;
  pu_pkg::addr_t next_addr, jump_addr, jump_addr_q, pick_b_addr_q;
  pu_pkg::load_row_t next_dest, jump_dest, jump_dest_q, pick_b_dest_q, home_q, dest;
  logic [2:0] beat;
  assign begins = state_q == Idle;
  assign next_row = state_q != Param && (state_q != Table || last_beat_q);
  assign req_addr_o = jumped_q ? jump_addr_q : addr_q;
  assign dest = jumped_q ? jump_dest_q : dest_q;
  assign beat = jumped_q ? 3'd0 : beat_q;
  assign next_addr = req_addr_o + 1'b1;
  assign next_dest = dest + RowBits'(next_row);
  always_comb begin
    jump_addr = next_addr;
    jump_dest = next_dest;
    unique case (state_q)
      Idle: begin
        jump_addr = cfg_i.a_desc;
        jump_dest = '0;
      end
      DescA: if (last_part_q) begin
        jump_addr = cfg_i.b_desc;
        jump_dest = '0;
      end
      DescB: begin
        jump_addr = cfg_i.f_base;
        jump_dest = '0;
      end
      Pick: begin
        jump_addr = pick_a_q ? a_addr_q : pick_b_addr_q;
        jump_dest = pick_a_q ? a_dest_q >> 3 : pick_b_dest_q;
      end
      Part: begin
        jump_addr = part_addr_next_q;
        jump_dest = a_home_next_q >> 3;
      end
      Param: begin
        jump_addr = b_home_addr_q;
        jump_dest = home_q >> 3;
      end
      Mask: jump_dest = home_q;
      default: ;
    endcase
  end
  always_ff @(posedge clk_i) begin
    pick_b_addr_q <= params ? p_addr_q : b_addr_next_q;
    pick_b_dest_q <= params ? param_dest_q : b_dest_next_q >> 3;
    home_q <= is_a_q ? a_home_q : b_home_q;
    jumped_q <= !state_q[3] || state_end || (jumped_q && !req_fire);
    if (!state_q[3] || !jumped_q || req_fire) begin
      jump_addr_q <= jump_addr;
      jump_dest_q <= jump_dest;
    end
    if (req_fire) begin
      addr_q <= next_addr;
      dest_q <= next_dest;
      beat_q <= beat + 3'd1;
    end
    if (begins) table_row_q <= '0;
    else if (state_end && state_q == Table) table_row_q <= table_row_q + 1'b1;
    if (begins || take_a) part_q <= '0;
    else if ((state_q == DescA && state_end) || (state_q == Part && descs_here_q)) begin
      part_q <= part_q + 1'b1;
    end
  end
  // Row tiles.
  always_ff @(posedge clk_i) begin
    if (take_a) is_a_q <= 1'b1;
    else if (take_b) is_a_q <= 1'b0;
    if (begins) begin
      a_addr_q <= cfg_i.a_base;
      a_dest_q <= '0;
      a_slot_q <= 8'd0;
      a_asked_q <= '0;
      none_asked_q <= 1'b1;
    end else if (take_a) begin
      a_addr_q <= a_addr_next_q;
      a_dest_q <= a_dest_next_q;
      a_slot_q <= a_slot_next_q;
      a_asked_q <= a_asked_q + 1'b1;
      none_asked_q <= 1'b0;
    end
    if (take_a) begin
      part_addr_q <= a_addr_q;
      a_home_q <= a_dest_q;
      a_index_q <= a_asked_q + cfg_i.m_tiles;
    end else if (state_q == Part && descs_here_q) begin
      part_addr_q <= part_addr_next_q;
      a_home_q <= a_home_next_q;
      a_index_q <= a_index_q + cfg_i.m_tiles;
    end
  end
  // Column tiles.
  always_ff @(posedge clk_i) begin
    if (begins) begin
      b_none_q <= 1'b1;
      p_addr_q <= cfg_i.p_base;
      param_dest_q <= '0;
      b_asked_q <= '0;
      b_column_q <= '0;
      b_more_q <= 1'b1;
      first_pass_q <= 1'b1;
      pass_q <= '0;
    end else if (take_b) begin
      b_none_q <= 1'b0;
      p_addr_q <= p_addr_q + pu_pkg::AddrBits'(ParamBeats);
      param_dest_q <= param_dest_q + 1'b1;
      b_asked_q <= b_asked_q + 1'b1;
      b_column_q <= b_end_q ? '0 : b_column_q + 1'b1;
      if (b_end_q) first_pass_q <= 1'b0;
      if (b_end_q) pass_q <= pass_q + 1'b1;
      if (b_end_q && pass_end_q) b_more_q <= 1'b0;
    end
    if (take_b) begin
      b_slot_q <= b_slot_next_q;
      b_home_q <= b_dest_next_q;
      b_home_addr_q <= b_addr_next_q;
    end
  end

  // What each beat under way is for.
  pu_fifo #(.Width(RowBits + 7), .AddrWidth(pu_pkg::OutstandingBits)) u_flight (
    .clk_i(clk_i), .rst_ni(rst_ni),
    .in_valid_i(req_fire), .in_ready_o(meta_ready), .in_data_i({to, beat, final_beat, dest}),
    .out_valid_o(meta_valid), .out_ready_i(resp_valid_i),
    .out_data_o({meta_to, meta_beat, meta_final, meta_dest})
  );
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) resp_valid_q <= 1'b0;
    else resp_valid_q <= resp_valid_i;
  end
  always_ff @(posedge clk_i) begin
    resp_to_q <= meta_to;
    resp_beat_q <= meta_beat;
    resp_final_q <= meta_final;
    resp_dest_q <= meta_dest;
    resp_count_q <= resp_count_i;
  end

  assign resp_desc_a = resp_valid_q && resp_to_q == ToDescA;
  assign resp_desc_b = resp_valid_q && resp_to_q == ToDescB;
  assign param_we_o = resp_valid_q && resp_to_q == ToParam;
  assign table_we_o = resp_valid_q && resp_to_q == ToTable;
  assign a_mask_we_o = resp_valid_q && resp_to_q == ToMaskA;
  assign b_mask_we_o = resp_valid_q && resp_to_q == ToMaskB;
  assign a_data_we_o = resp_valid_q && resp_to_q == ToDataA;
  assign b_data_we_o = resp_valid_q && resp_to_q == ToDataB;
  assign waddr_o = resp_dest_q;
  assign param_beat_o = resp_beat_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      a_loaded_o <= '0;
      b_loaded_o <= '0;
      descs_here_q <= 1'b0;
      first_desc_q <= 1'b0;
    end else if (start_i) begin
      a_loaded_o <= '0;
      b_loaded_o <= '0;
      descs_here_q <= 1'b0;
      first_desc_q <= 1'b0;
    end else begin
      if (resp_valid_q && resp_final_q && (resp_to_q == ToDataA || resp_to_q == ToMaskA)) begin
        a_loaded_o <= a_loaded_o + 1'b1;
      end
      if (resp_valid_q && resp_final_q && (resp_to_q == ToDataB || resp_to_q == ToMaskB)) begin
        b_loaded_o <= b_loaded_o + 1'b1;
      end
      if (resp_desc_b && resp_final_q) descs_here_q <= 1'b1;
      if (resp_desc_a) first_desc_q <= 1'b1;
    end
  end
  logic unused;
  assign unused = ^{cfg_i, meta_valid};

`ifndef SYNTHESIS
  logic held_q;
  pu_pkg::addr_t held_addr_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) held_q <= 1'b0;
    else held_q <= req_valid_o && !req_ready_i;
  end
  always_ff @(posedge clk_i) begin
    held_addr_q <= req_addr_o;
    if (held_q && (!req_valid_o || req_addr_o != held_addr_q)) $fatal(1, "request not held");
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (rst_ni && resp_valid_i && !meta_valid) $fatal(1, "a response without a request");
  end
`endif // SYNTHESIS
endmodule
