// Bit-mask decoder. A job is a run of count vectors that starts at buffer row base (a multiple of
// MasksPerBeat): masks so many to a word from row base on, the values of lane i in bank i from row
// base on. One vector a cycle whatever its density. Each part of job_part_i vectors (a multiple of
// MasksPerBeat and of Lanes, or at least count) has its values from its own first row on.
// Repeat = 1: each Lanes vectors come job_passes_i times, one time after the other; else once.
// Pack = 2: two elements in a byte of a bank, the first in its low half, unless wide_i is high.
// job_passes_i, job_part_i and wide_i change only between runs.
// Handshakes: job and out are valid/ready; out_* keep still while out_valid_o && !out_ready_i.
// done_o: the job's last bank read has been made (its rows may be overwritten from then on).
module pu_mask_decoder #(
  parameter int unsigned ElementWidth = 8,
  parameter int unsigned Pack = 1,
  parameter int unsigned RowWidth = 13,
  parameter int unsigned TagWidth = 1,
  parameter int unsigned Repeat = 0
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic job_valid_i,
  output logic job_ready_o,
  input  logic [RowWidth-1:0] job_base_i,
  input  logic [RowWidth:0] job_count_i,
  input  logic [TagWidth-1:0] job_tag_i,
  input  logic [2:0] job_passes_i,
  input  logic [RowWidth:0] job_part_i,
  input  logic wide_i,
  output logic mask_re_o,
  output logic [RowWidth-4:0] mask_addr_o,
  input  logic [pu_pkg::MasksPerBeat-1:0][pu_pkg::Lanes-1:0] mask_rdata_i,
  output pu_pkg::mask_t bank_re_o,
  output logic [pu_pkg::Lanes-1:0][RowWidth-1:0] bank_addr_o,
  input  logic [pu_pkg::Lanes-1:0][pu_pkg::LaneBits-1:0] bank_rdata_i,
  output logic done_o,
  output logic [TagWidth-1:0] done_tag_o,
  output logic out_valid_o,
  input  logic out_ready_i,
  output logic out_nonzero_o,
  output logic [pu_pkg::Lanes-1:0][ElementWidth-1:0] out_data_o,
  output logic [TagWidth-1:0] out_tag_o
);
  localparam int unsigned Lanes = pu_pkg::Lanes;
  localparam int unsigned LaneBits = pu_pkg::LaneBits;
  localparam int unsigned PtrWidth = RowWidth + ((Pack == 2) ? 1 : 0);
  localparam int unsigned Back = Lanes - 1;
  localparam logic [RowWidth:0] One = 1;

  // Stage 0: mask address. Stage 1: mask word. Stage 2: the vector's mask, bank addresses.
  // Stage 3: values.
  logic advance;
  logic [RowWidth-1:0] row_q;
  logic [RowWidth:0] left_q, part_left_q;
  logic fresh_q, v1_q, v2_q, v3_q, fresh1_q, fresh2_q, last1_q, last2_q;
  logic [TagWidth-1:0] tag_q, tag1_q, tag2_q, tag3_q;
  logic [RowWidth-1:0] row1_q, row2_q;
  pu_pkg::mask_t mask2_q, mask3_q;
  logic take, move, active, again, ending, part_end;
  // A K-step's first vector, and that of a further pass of it.
  logic step, more, step1_q, more1_q, step2_q, more2_q;

  assign take = job_valid_i && job_ready_o;
  assign move = active && advance;
  assign advance = !v3_q || out_ready_i;
  assign active = left_q != '0;
  assign ending = left_q == One && !again;
  assign part_end = part_left_q == One;
  assign job_ready_o = !active || (ending && advance);
  assign mask_re_o = active && advance;
  assign mask_addr_o = row_q[RowWidth-1:3];
  assign done_o = v2_q && last2_q && advance;
  assign done_tag_o = tag2_q;
  assign out_valid_o = v3_q;
  assign out_nonzero_o = mask3_q != '0;
  assign out_tag_o = tag3_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      left_q <= '0;
      v1_q <= 1'b0;
      v2_q <= 1'b0;
      v3_q <= 1'b0;
    end else begin
      if (take) left_q <= job_count_i;
      else if (move) left_q <= again ? left_q + (RowWidth+1)'(Back) : left_q - 1'b1;
      if (advance) begin
        v1_q <= active;
        v2_q <= v1_q;
        v3_q <= v2_q;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (take) begin
      row_q <= job_base_i;
      part_left_q <= job_part_i;
      tag_q <= job_tag_i;
      fresh_q <= 1'b1;
    end else if (move && again) begin
      row_q <= row_q - RowWidth'(Back);
      part_left_q <= part_left_q + (RowWidth+1)'(Back);
      fresh_q <= 1'b0;
    end else if (move) begin
      row_q <= row_q + 1'b1;
      part_left_q <= part_end ? job_part_i : part_left_q - 1'b1;
      fresh_q <= part_end;
    end
    if (advance) begin
      fresh1_q <= fresh_q;
      last1_q <= ending;
      row1_q <= row_q;
      tag1_q <= tag_q;
      step1_q <= step;
      more1_q <= more;
      mask2_q <= mask_rdata_i[row1_q[2:0]];
      fresh2_q <= fresh1_q;
      last2_q <= last1_q;
      row2_q <= row1_q;
      tag2_q <= tag1_q;
      step2_q <= step1_q;
      more2_q <= more1_q;
      mask3_q <= mask2_q;
      tag3_q <= tag2_q;
    end
  end

  // Place in the K-step, and pass. A K-step's first vector leaves its pointers behind for the
  // passes to come.
  if (Repeat == 1) begin : gen_repeat
    pu_pkg::row_t step_q;
    logic [2:0] pass_q;
    assign step = step_q == '0;
    assign more = step && pass_q != 3'd0;
    assign again = step_q == '1 && pass_q + 3'd1 != job_passes_i;
    always_ff @(posedge clk_i) begin
      if (take) begin
        step_q <= '0;
        pass_q <= 3'd0;
      end else if (move) begin
        step_q <= step_q + 1'b1;
        if (step_q == '1) pass_q <= again ? pass_q + 3'd1 : 3'd0;
      end
    end
  end else begin : gen_once
    logic unused_repeat;
    assign again = 1'b0;
    assign step = 1'b0;
    assign more = 1'b0;
    assign unused_repeat = ^{job_passes_i, step2_q, more2_q};
  end

  for (genvar i = 0; i < Lanes; i++) begin : gen_bank
    logic [PtrWidth-1:0] ptr_q, start, ptr;
    logic read;
    assign read = v2_q && advance && mask2_q[i];
    assign bank_re_o[i] = read;
    if (Repeat == 1) begin : gen_checkpoint
      logic [PtrWidth-1:0] kept_q;
      assign ptr = more2_q ? kept_q : fresh2_q ? start : ptr_q;
      always_ff @(posedge clk_i) begin
        if (v2_q && advance && step2_q) kept_q <= ptr;
      end
    end else begin : gen_no_checkpoint
      assign ptr = fresh2_q ? start : ptr_q;
    end
    if (Pack == 2) begin : gen_pack
      logic half_q;
      logic [ElementWidth-1:0] element;
      assign start = {row2_q, 1'b0};
      assign bank_addr_o[i] = ptr[PtrWidth-1:1];
      always_ff @(posedge clk_i) begin
        if (v2_q && advance) begin
          ptr_q <= ptr + PtrWidth'({mask2_q[i] && wide_i, mask2_q[i] && !wide_i});
        end
        if (read) half_q <= ptr[0];
      end
      always_comb begin
        element = ElementWidth'(half_q ? bank_rdata_i[i][7:4] : bank_rdata_i[i][3:0]);
        if (wide_i) element = bank_rdata_i[i][ElementWidth-1:0];
      end
      assign out_data_o[i] = {ElementWidth{mask3_q[i]}} & element;
    end else begin : gen_plain
      assign start = row2_q;
      assign bank_addr_o[i] = ptr;
      always_ff @(posedge clk_i) begin
        if (v2_q && advance) ptr_q <= ptr + PtrWidth'(mask2_q[i]);
      end
      assign out_data_o[i] = {ElementWidth{mask3_q[i]}} & bank_rdata_i[i][ElementWidth-1:0];
    end
    if (Pack != 2 && ElementWidth < LaneBits) begin : gen_unused
      logic unused;
      assign unused = ^bank_rdata_i[i][LaneBits-1:ElementWidth];
    end
  end
  if (Pack != 2) begin : gen_bytes
    logic unused_wide;
    assign unused_wide = wide_i;
  end

`ifndef SYNTHESIS
  logic held_q;
  logic [Lanes-1:0][ElementWidth-1:0] data_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) held_q <= 1'b0;
    else held_q <= out_valid_o && !out_ready_i;
  end
  always_ff @(posedge clk_i) begin
    data_q <= out_data_o;
    if (held_q && (!out_valid_o || out_data_o != data_q)) $fatal(1, "decoder output not held");
    if (take && job_base_i[2:0] != 3'd0) $fatal(1, "job base not aligned");
    if (take && job_part_i < job_count_i && job_part_i[2:0] != 3'd0) $fatal(1, "part not aligned");
  end
`endif // SYNTHESIS
endmodule
