// A result's code: sum and bias in one addition, right shift by Least + more rounded half to even,
// saturation to nine bits, clamp to the layer's range, 0 past the end of a row. bias_i holds half of
// the last place, so that a tie is one too far where it is odd. The masks of the bits below and
// above the code are a channel's (block_masks), and still while a result passes.
// Floor = 1: the smallest code is 0 or -128, as signed_i says; else low_i.
module block_code #(
  parameter int Width = 24,
  parameter int Least = 1,
  parameter int RightBits = 3,
  parameter bit Floor = 1'b1
) (
  input  logic clk_i,
  input  logic valid_i,
  input  logic signed_i,
  input  logic [8:0] low_i,
  input  logic [8:0] high_i,
  input  logic signed [Width-1:0] sum_i,
  input  logic signed [Width-1:0] bias_i,
  input  logic [(RightBits > 0 ? RightBits : 1)-1:0] right_i,
  input  logic [Width-1:0] below_i,
  input  logic [Width-1:0] outer_i,
  output logic [7:0] code_o
);
  localparam int Most = Least + (1 << RightBits) - 1;
  // Bits that the masks of some shift hold.
  localparam logic [Width-1:0] Below = (Width'(1) << Most) - 1, Outer = {Width{1'b1}} << (Least + 8);
  logic signed [Width-1:0] sum_q, shifted;
  logic sign, sign_q, far_q, tie;
  logic [7:0] near_q;
  logic signed [8:0] value, low, high;
  always_ff @(posedge clk_i) sum_q <= sum_i + bias_i;
  assign sign = sum_q[Width-1];
  // Two bits of the shift at a time: a look-up table chooses from four.
  if (RightBits > 2) begin : g_two
    logic signed [Width-1:0] coarse;
    assign coarse = (sum_q >>> Least) >>> {right_i[RightBits-1:2], 2'b00};
    assign shifted = coarse >>> right_i[1:0];
  end else begin : g_one
    assign shifted = RightBits > 0 ? (sum_q >>> Least) >>> right_i : sum_q >>> Least;
  end
  assign tie = (sum_q & below_i & Below) == '0;
  always_ff @(posedge clk_i) begin
    sign_q <= sign;
    far_q <= |((sum_q ^ {Width{sign}}) & outer_i & Outer);
    near_q <= {shifted[7:1], shifted[0] & ~tie};
  end
  assign value = far_q ? {sign_q, {8{~sign_q}}} : {sign_q, near_q};
  assign low = Floor ? {{2{signed_i}}, 7'd0} : low_i;
  assign high = high_i;
  logic below, above, below_q, above_q;
  logic [7:0] value_q;
  assign below = Floor ? value[8] & (~signed_i | ~value[7]) : value < low;
  assign above = value > high;
  always_ff @(posedge clk_i) begin
    below_q <= below;
    above_q <= above;
    value_q <= value[7:0];
    code_o <= (below_q ? low[7:0] : above_q ? high[7:0] : value_q) & {8{valid_i}};
  end
endmodule
