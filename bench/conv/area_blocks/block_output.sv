// A result of 32 bits from its sum, in which are the bias and half of the last place: right shift by
// Least + more, a tie clears the low bit. more is of the channel, and comes with the sum.
module block_output #(
  parameter int Width = 32,
  parameter int Least = 4,
  parameter int RightBits = 3
) (
  input  logic clk_i,
  input  logic signed [Width-1:0] sum_i,
  input  logic [(RightBits > 0 ? RightBits : 1)-1:0] right_i,
  output logic signed [Width-1:0] code_o
);
  logic tie;
  logic signed [Width-1:0] below, shifted;
  // The bits below the result's last place are zero at a tie.
  assign below = RightBits > 0 ? ((Width'(1) << Least) << right_i) - 1 : (Width'(1) << Least) - 1;
  assign tie = Least + RightBits > 0 && (sum_i & below) == '0 && below != '0;
  assign shifted = RightBits > 0 ? (sum_i >>> Least) >>> right_i : sum_i >>> Least;
  always_ff @(posedge clk_i) code_o <= {shifted[Width-1:1], shifted[0] & ~tie};
endmodule
