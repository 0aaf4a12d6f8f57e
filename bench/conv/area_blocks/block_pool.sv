// A unit's global pool: the sum of a line's codes and of all lines, times Factor, shifted right
// with rounding half to even, clamped.
module block_pool #(
  parameter int Places = 7,
  parameter int Factor = 21400,
  parameter int Right = 20
) (
  input  logic clk_i,
  input  logic clear_i,
  input  logic pools_i,
  input  logic [8*Places-1:0] codes_i,
  output logic [7:0] code_o
);
  logic [31:0] tree, whole_q, product_q, rounded_q;
  always_comb begin
    tree = '0;
    for (int p = 0; p < Places; p++) tree = tree + 32'(codes_i[8*p +: 8]);
  end
  logic [31:0] tree_q;
  always_ff @(posedge clk_i) begin
    tree_q <= tree;
    whole_q <= (whole_q & {32{~clear_i}}) + tree_q;
    product_q <= whole_q * Factor;
    rounded_q <= product_q + 32'((1 << (Right - 1)) - 1) + 32'(product_q[Right]);
    code_o <= pools_i ? (rounded_q[31:Right] > 255 ? 8'd255 : rounded_q[Right +: 8]) : codes_i[7:0];
  end
endmodule
