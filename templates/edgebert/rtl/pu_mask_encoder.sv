// Bit-mask encoder: one vector a cycle to one mask write and up to Lanes bank writes.
// Vector index_i of the run at row base_i; a slot_i has write pointers of its own, which first_i
// restarts. in and mem are valid/ready: the writes of a vector happen in the cycle of mem_ready_i.
// count_o: values written so far by each lane of slot count_slot_i, as that was a cycle before.
module pu_mask_encoder #(
  parameter int unsigned RowWidth = 13,
  parameter int unsigned SlotWidth = 4
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic in_valid_i,
  output logic in_ready_o,
  input  logic [pu_pkg::Lanes-1:0][pu_pkg::AfBits-1:0] in_data_i,
  input  logic in_first_i,
  input  logic [SlotWidth-1:0] in_slot_i,
  input  logic [RowWidth-1:0] in_base_i,
  input  logic [RowWidth-1:0] in_index_i,
  output logic mem_valid_o,
  input  logic mem_ready_i,
  output logic [RowWidth-1:0] mask_addr_o,
  output pu_pkg::mask_t mask_o,
  output logic [pu_pkg::Lanes-1:0][RowWidth-1:0] bank_addr_o,
  output logic [pu_pkg::Lanes-1:0][pu_pkg::AfBits-1:0] bank_data_o,
  input  logic [SlotWidth-1:0] count_slot_i,
  output logic [pu_pkg::Lanes-1:0][RowWidth:0] count_o
);
  logic first_q, wrote;
  logic [SlotWidth-1:0] slot_q;
  logic [RowWidth-1:0] base_q;

  assign wrote = mem_valid_o && mem_ready_i;
  assign in_ready_o = !mem_valid_o || mem_ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) mem_valid_o <= 1'b0;
    else if (in_ready_o) mem_valid_o <= in_valid_i;
  end

  always_ff @(posedge clk_i) begin
    if (in_valid_i && in_ready_o) begin
      first_q <= in_first_i;
      slot_q <= in_slot_i;
      base_q <= in_base_i;
      mask_addr_o <= in_base_i + in_index_i;
      bank_data_o <= in_data_i;
    end
  end

  for (genvar i = 0; i < pu_pkg::Lanes; i++) begin : gen_bank
    logic [RowWidth:0] count_q [2**SlotWidth];
    logic [RowWidth:0] count, count_next;
    // Zero has two codes; both are left out.
    assign mask_o[i] = bank_data_o[i][pu_pkg::AfBits-2:0] != '0;
    assign count = first_q ? '0 : count_q[slot_q];
    assign bank_addr_o[i] = base_q + count[RowWidth-1:0];
    assign count_next = count + (RowWidth+1)'(mask_o[i]);
    always_ff @(posedge clk_i) begin
      if (wrote) count_q[slot_q] <= count_next;
      count_o[i] <= (wrote && slot_q == count_slot_i) ? count_next : count_q[count_slot_i];
    end
  end
endmodule
