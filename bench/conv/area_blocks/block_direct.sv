// The network's output of a unit: one of Places results of 32 bits, clamped to run-time bounds.
module block_direct #(
  parameter int Places = 7
) (
  input  logic clk_i,
  input  logic [$clog2(Places)-1:0] place_i,
  input  logic signed [31:0] low_i,
  input  logic signed [31:0] high_i,
  input  logic [32*Places-1:0] values_i,
  output logic [31:0] value_o
);
  logic [31:0] chosen;
  logic signed [31:0] chosen_q, chosen_qq;
  always_comb begin
    chosen = '0;
    for (int p = 0; p < Places; p++) begin
      if (place_i == p[$clog2(Places)-1:0]) chosen = values_i[32*p +: 32];
    end
  end
  logic below_q, above_q;
  always_ff @(posedge clk_i) begin
    chosen_q <= chosen;
    below_q <= chosen_q < low_i;
    above_q <= chosen_q > high_i;
    chosen_qq <= chosen_q;
    value_o <= below_q ? low_i : above_q ? high_i : chosen_qq;
  end
endmodule
