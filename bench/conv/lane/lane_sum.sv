// Nine products, each the complement of itself where flip_i is set, added in a tree with a register
// after every adder, and the accumulator of 32 bits. first_i: this sum begins a new one.
// acc_o has it five clocks later. Packed = 1: complements and the accumulator's gate lie in the
// adders' own input functions.
module lane_sum #(
  parameter int Width = 16,
  parameter bit Packed = 1'b0
) (
  input  logic clk_i,
  input  logic first_i,
  input  logic [9*Width-1:0] product_i,
  input  logic [8:0] flip_i,
  output logic [31:0] acc_o
);
  localparam logic [15:0] Lower = 16'h55aa;  // a ^ d
  localparam logic [15:0] Upper = 16'h33cc;  // b ^ e
  localparam logic [15:0] Other = 16'hff00;  // d, or e
  localparam logic [15:0] Gated = 16'h5500;  // d and not a

  localparam int Pair = Width + 1;
  localparam int Four = Width + 2;
  logic [4*Pair-1:0] pair_d, pair_q;
  logic [2*Four-1:0] four_d, four_q;
  logic [Width+2:0] eight_d, eight_q;
  logic [Width+3:0] nine_d, nine_q;
  logic [Width-1:0] last_q, later_q, latest_q;
  logic [2:0] flip_q;
  logic [3:0] first_q;
  logic [31:0] acc_d;

  for (genvar i = 0; i < 4; i++) begin : g_pair
    logic [Width:0] lower, upper;
    assign lower = {product_i[2*Width*i+Width-1], product_i[2*Width*i +: Width]};
    assign upper = {product_i[2*Width*i+2*Width-1], product_i[2*Width*i+Width +: Width]};
    if (Packed) begin : g_packed
      lane_fused_add #(
        .Width(Width + 1), .F(Lower), .G(Upper)
      ) u_add (
        .a_i({Width + 1{flip_i[2*i]}}), .b_i({Width + 1{flip_i[2*i+1]}}), .c_i('0),
        .d_i(lower), .e_i(upper), .sum_o(pair_d[Pair*i +: Pair])
      );
    end else begin : g_plain
      assign pair_d[Pair*i +: Pair] = lower + upper;
    end
  end
  for (genvar i = 0; i < 2; i++) begin : g_four
    assign four_d[Four*i +: Four] = {pair_q[2*Pair*i+Width], pair_q[2*Pair*i +: Pair]}
                                  + {pair_q[2*Pair*i+Pair+Width], pair_q[2*Pair*i+Pair +: Pair]};
  end
  assign eight_d = {four_q[Four-1], four_q[0 +: Four]} + {four_q[2*Four-1], four_q[Four +: Four]};
  if (Packed) begin : g_packed
    lane_fused_add #(
      .Width(Width + 4), .F(Other), .G(Upper)
    ) u_nine (
      .a_i('0), .b_i({Width + 4{flip_q[2]}}), .c_i('0), .d_i({eight_q[Width+2], eight_q}),
      .e_i({{4{latest_q[Width-1]}}, latest_q}), .sum_o(nine_d)
    );
    lane_fused_add #(
      .Width(32), .F(Gated), .G(Other)
    ) u_acc (
      .a_i({32{first_q[3]}}), .b_i('0), .c_i('0), .d_i(acc_o),
      .e_i({{28 - Width{nine_q[Width+3]}}, nine_q}), .sum_o(acc_d)
    );
  end else begin : g_plain
    logic [31:0] nine;
    assign nine_d = {eight_q[Width+2], eight_q} + {{4{latest_q[Width-1]}}, latest_q};
    assign nine = {{28 - Width{nine_q[Width+3]}}, nine_q};
    assign acc_d = (first_q[3] ? 32'd0 : acc_o) + nine;
  end

  always_ff @(posedge clk_i) begin
    pair_q <= pair_d;
    four_q <= four_d;
    eight_q <= eight_d;
    nine_q <= nine_d;
    last_q <= product_i[8*Width +: Width];
    later_q <= last_q;
    latest_q <= later_q;
    flip_q <= {flip_q[1:0], flip_i[8]};
    first_q <= {first_q[2:0], first_i};
    acc_o <= acc_d;
  end
endmodule
