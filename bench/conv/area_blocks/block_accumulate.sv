// The accumulator of one result: the tree's sum is added, or begins a new one.
module block_accumulate #(
  parameter int Width = 32,
  parameter int Sum = 20
) (
  input  logic clk_i,
  input  logic first_i,
  input  logic fires_i,
  input  logic signed [Sum-1:0] sum_i,
  output logic signed [Width-1:0] acc_o
);
  logic signed [Width-1:0] gated;
  assign gated = acc_o & {Width{~first_i}};
  always_ff @(posedge clk_i) begin
    if (fires_i) acc_o <= gated + Width'(sum_i);
  end
endmodule
