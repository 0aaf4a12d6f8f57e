// A unit's global pool: the sum of a line's codes and of all lines in Bits bits, times Factor in
// signed digits (Plus, Minus: their masks), one addition each, shifted right with rounding half to
// even in one addition more, clamped.
module block_pool #(
  parameter int Places = 7,
  parameter int Bits = 14,
  parameter int Plus = 21504,
  parameter int Minus = 104,
  parameter int Right = 20
) (
  input  logic clk_i,
  input  logic clear_i,
  input  logic pools_i,
  input  logic [8*Places-1:0] codes_i,
  output logic [7:0] code_o
);
  localparam int Wide = Bits + 19;
  logic [Bits-1:0] tree, whole_q, tree_q;
  logic [Wide-1:0] product_q;
  // What is summed up of the digits below one, and the sum beside it.
  /* verilator lint_off UNOPTFLAT */
  logic [Wide-1:0] part[18];
  logic [Bits-1:0] beside[18];
  /* verilator lint_on UNOPTFLAT */
  logic [Wide-1:Right] rounded;
  logic tie;
  always_comb begin
    tree = '0;
    for (int p = 0; p < Places; p++) tree = tree + Bits'(codes_i[8*p +: 8]);
  end
  assign part[0] = '0;
  assign beside[0] = whole_q;
  for (genvar i = 0; i < 17; i++) begin : g_digits
    if (Plus[i] || Minus[i]) begin : g_one
      // No digit below reaches beyond these bits, and none at or above changes those below them.
      localparam logic [Wide-1:0] Below = (Wide'(1) << i) - 1;
      logic signed [Bits+1:0] upper;
      assign upper = Plus[i] ? part[i][i +: Bits+2] + (Bits+2)'(beside[i])
                             : part[i][i +: Bits+2] - (Bits+2)'(beside[i]);
      always_ff @(posedge clk_i) begin
        part[i+1] <= (Wide'(upper) << i) | (part[i] & Below);
        beside[i+1] <= beside[i];
      end
    end else begin : g_none
      assign part[i+1] = part[i];
      assign beside[i+1] = beside[i];
    end
  end
  assign tie = product_q[Right-1:0] == '0;
  assign rounded = {product_q[Wide-1:Right+1], product_q[Right] & ~tie};
  always_ff @(posedge clk_i) begin
    tree_q <= tree;
    whole_q <= (whole_q & {Bits{~clear_i}}) + tree_q;
    product_q <= part[17] + (Wide'(1) << (Right - 1));
    code_o <= pools_i ? (|rounded[Wide-1:Right+8] ? 8'd255 : rounded[Right +: 8]) : codes_i[7:0];
  end
endmodule
