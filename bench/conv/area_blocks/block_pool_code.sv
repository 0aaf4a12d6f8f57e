// The code of a global pool's sum of Bits bits: the sum times a constant in signed digits (Plus,
// Minus: their masks), one addition each, shifted right with rounding half to even in one addition
// more, clamped.
module block_pool_code #(
  parameter int Bits = 14,
  parameter int Plus = 21504,
  parameter int Minus = 104,
  parameter int Right = 19
) (
  input  logic clk_i,
  input  logic [Bits-1:0] sum_i,
  output logic [7:0] code_o
);
  localparam int Wide = Bits + 19;
  logic [Bits-1:0] sum_q;
  logic [Wide-1:0] product_q;
  // What is summed up of the digits below one, and the sum beside it.
  /* verilator lint_off UNOPTFLAT */
  logic [Wide-1:0] part[18];
  logic [Bits-1:0] beside[18];
  /* verilator lint_on UNOPTFLAT */
  logic [Wide-1:Right] rounded;
  logic tie;
  assign part[0] = '0;
  assign beside[0] = sum_q;
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
    sum_q <= sum_i;
    product_q <= part[17] + (Wide'(1) << (Right - 1));
    code_o <= |rounded[Wide-1:Right+8] ? 8'd255 : rounded[Right +: 8];
  end
endmodule
