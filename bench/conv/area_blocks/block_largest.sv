// The accumulator of one result that may hold the largest of a window's words in place of their sum.
module block_largest #(
  parameter int Width = 24,
  parameter int Sum = 20,
  parameter int Bits = 9
) (
  input  logic clk_i,
  input  logic first_i,
  input  logic fires_i,
  input  logic largest_i,
  input  logic signed [Sum-1:0] sum_i,
  output logic signed [Width-1:0] acc_o
);
  logic signed [Width-1:0] gated;
  logic kept;
  assign gated = acc_o & {Width{~(first_i | largest_i)}};
  assign kept = largest_i & ~first_i & ($signed(acc_o[Bits-1:0]) >= $signed(sum_i[Bits-1:0]));
  always_ff @(posedge clk_i) begin
    if (fires_i & ~kept) acc_o <= gated + Width'(sum_i);
  end
endmodule
