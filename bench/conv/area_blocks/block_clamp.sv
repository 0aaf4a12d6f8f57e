// A value of Width bits clamped to run-time bounds of Width bits; its low Out bits, zero where the
// place lies past the row's end.
module block_clamp #(
  parameter int Width = 32,
  parameter int Out = 8
) (
  input  logic clk_i,
  input  logic valid_i,
  input  logic signed [Width-1:0] low_i,
  input  logic signed [Width-1:0] high_i,
  input  logic signed [Width-1:0] value_i,
  output logic [Out-1:0] code_o
);
  logic below, above;
  logic [Out-1:0] value_q;
  assign below = value_i < low_i;
  assign above = value_i > high_i;
  logic below_q, above_q;
  always_ff @(posedge clk_i) begin
    below_q <= below;
    above_q <= above;
    value_q <= value_i[Out-1:0];
    code_o <= (below_q ? low_i[Out-1:0] : above_q ? high_i[Out-1:0] : value_q) & {Out{valid_i}};
  end
endmodule
