// A counter as the kernels have them: 32 bits, up to a run-time bound, then from a run-time start.
module block_counter (
  input  logic clk_i,
  input  logic begins_i,
  input  logic steps_i,
  input  logic [31:0] bound_i,
  input  logic [31:0] start_i,
  output logic ends_o,
  output logic [31:0] count_o
);
  assign ends_o = count_o == bound_i - 1;
  always_ff @(posedge clk_i) begin
    if (begins_i) count_o <= start_i;
    else if (steps_i) count_o <= ends_o ? '0 : count_o + 1;
  end
endmodule
