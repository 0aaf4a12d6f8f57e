// Bias and one rounding half to even of a result: right shift by Least + more, left shift by left,
// both of the channel and still while a result passes.
// OneAdder = 0: the bias is added, then half less one and the odd bit, as two additions in a row.
// OneAdder = 1: bias_i holds half of the last place too; a tie clears the low bit of the result.
module block_round #(
  parameter int Width = 32,
  parameter int Least = 4,
  parameter int RightBits = 3,
  parameter int LeftBits = 0,
  parameter bit OneAdder = 1'b0
) (
  input  logic clk_i,
  input  logic signed [Width-1:0] sum_i,
  input  logic signed [Width-1:0] bias_i,
  input  logic [(RightBits > 0 ? RightBits : 1)-1:0] right_i,
  input  logic [(LeftBits > 0 ? LeftBits : 1)-1:0] left_i,
  output logic signed [Width-1:0] code_o
);
  logic signed [Width-1:0] biased_q, wide, shifted;
  assign wide = LeftBits > 0 ? biased_q <<< left_i : biased_q;
  always_ff @(posedge clk_i) biased_q <= sum_i + bias_i;
  if (OneAdder) begin : g_one
    // The bits below the result's last place are zero at a tie.
    logic tie;
    logic signed [Width-1:0] below;
    assign below = RightBits > 0 ? ((Width'(1) << Least) << right_i) - 1 : (Width'(1) << Least) - 1;
    assign tie = Least + RightBits > 0 && (wide & below) == '0 && below != '0;
    assign shifted = RightBits > 0 ? (wide >>> Least) >>> right_i : wide >>> Least;
    always_ff @(posedge clk_i) code_o <= {shifted[Width-1:1], shifted[0] & ~tie};
  end else begin : g_two
    logic signed [Width-1:0] halves, odd, rounded_q, offset;
    logic rounds;
    if (Least > 0) begin : g_least
      assign odd = RightBits > 0 ? (wide >>> Least) >>> right_i : wide >>> Least;
      assign halves = RightBits > 0 ? (Width'(1 << (Least - 1)) << right_i) - 1
                                    : Width'((1 << (Least - 1)) - 1);
      assign rounds = 1'b1;
    end else if (RightBits > 0) begin : g_any
      assign odd = wide >>> right_i;
      assign halves = (Width'(1) << (right_i - 1'b1)) - 1;
      assign rounds = right_i != '0;
    end else begin : g_none
      assign odd = '0;
      assign halves = '0;
      assign rounds = 1'b0;
    end
    assign offset = (halves + {{Width-1{1'b0}}, odd[0]}) & {Width{rounds}};
    logic signed [Width-1:0] wide_q, offset_q;
    always_ff @(posedge clk_i) begin
      wide_q <= wide;
      offset_q <= offset;
      rounded_q <= wide_q + offset_q;
      code_o <= RightBits > 0 ? (rounded_q >>> Least) >>> right_i : rounded_q >>> Least;
    end
  end
endmodule
