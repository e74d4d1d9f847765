"""Ways of asking in Vietnamese: what the model hears in training beyond the data set's own templates.

A row of the data set is taken apart (`parse`) into its kind and the thing it names, and asked again in another way
(`rephrase`): another template, a synonym of the thing, a polite opening or a closing particle, a lost word. Answers
never change. Everything works on plain text; accents are stripped later, where words become ids.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

# The data set's own ways of asking, one regular expression a shape. {x} is the thing asked about.
_OWN = {
    "presence": ["trong ảnh có {x} không", "có {x} trong ảnh không", "món này có {x} không", "trong món này có {x} không"],
    "yesno": [
        # Those with "món" first: otherwise "món" would be taken for a part of the dish's name.
        "đây có phải là món {x} không", "đây là món {x} phải không",
        "món này là {x} đúng không", "đây có phải là {x} không", "món này có phải là {x} không",
    ],
    "colour": [
        "màu chủ đạo của {x} là gì", "{x} trong ảnh có màu gì",
    ],
    "side": ["{x} nằm ở bên nào", "{x} ở bên trái hay bên phải"],
    "count": ["có bao nhiêu {x} trong ảnh", "đếm số {x} trong ảnh", "trong ảnh có mấy {x}", "số {x} là bao nhiêu"],
    "where": [
        "món ở {x} là gì", "món nằm {x} là món gì", "{x} là món gì",
    ],
}  # fmt: skip

# Further ways of asking, written for this project. Kinds whose question names nothing have no {x}.
_MORE = {
    "name": [
        "món này là món gì", "đây là món gì", "tên của món này là gì", "trong ảnh là món gì", "món này là gì",
        "món ăn trong ảnh là gì", "cho hỏi đây là món gì",
        "đây là gì", "món gì đây", "món gì thế này", "cái này là món gì", "cái gì đây", "món này tên gì",
        "món này tên là gì", "tên món này", "tên món ăn", "món này gọi là gì", "đây gọi là món gì", "món này kêu là gì",
        "người ta gọi món này là gì", "trong hình là món gì", "hình này là món gì", "ảnh chụp món gì",
        "bức ảnh này chụp món nào", "đây là món nào", "món nào đây", "món ăn này tên gì", "tên món ăn này là gì",
        "cho biết tên món ăn này", "nói tên món này", "nhận diện món ăn này", "nhận ra món gì trong ảnh",
        "món trên bàn là gì", "đĩa này là món gì", "tô này là món gì", "dĩa này đựng món gì", "tôi đang ăn món gì",
        "tôi sắp ăn gì", "đó là món gì", "món gì trong ảnh", "thấy món gì trong ảnh", "tên gọi của món này",
        "bạn có biết món này là gì không", "đố bạn đây là món gì", "đây là đồ ăn gì", "thức ăn này là gì",
        "thức ăn trong ảnh tên gì", "món ăn này được gọi là gì", "món này có tên là gì", "xác định món ăn trong ảnh",
    ],
    "category": [
        "đây là loại món gì", "món này thuộc loại nào", "món này là loại món gì",
        "món này thuộc loại gì", "món này loại gì", "đây là loại món ăn gì", "món ăn này thuộc nhóm nào",
        "món này thuộc nhóm món gì", "phân loại món này", "phân loại món ăn trong ảnh", "món này là kiểu món gì",
        "thuộc loại món nào", "loại món ăn là gì", "món này xếp vào loại nào", "nhóm món ăn của món này là gì",
        "đây là dạng món gì", "món trong ảnh thuộc loại nào", "món ăn trong hình là loại gì", "kiểu món ăn này là gì",
        "món này là món canh món kho hay món xào", "thể loại món ăn này",
    ],
    "main": [
        "nguyên liệu chính của món này là gì", "món này làm từ gì", "thành phần chính của món ăn là gì",
        "món này được làm từ gì", "món này nấu từ gì", "món này nấu bằng gì", "món này làm bằng gì",
        "nguyên liệu chính là gì", "thành phần chính là gì", "nguyên liệu chủ yếu của món này", "món này chủ yếu làm từ gì",
        "món ăn này có nguyên liệu chính là gì", "món này có thành phần chính là gì", "chất liệu chính của món này là gì",
        "món này chế biến từ gì", "món ăn trong ảnh được chế biến từ nguyên liệu nào", "cái gì là nguyên liệu chính",
        "món này được nấu từ nguyên liệu gì", "thực phẩm chính trong món này là gì", "nguyên liệu nào là chính",
    ],
    "presence": [
        *_OWN["presence"],
        "có {x} không", "có thấy {x} không", "có {x} trong món này không", "có {x} trong hình không",
        "trong hình có {x} không", "món ăn này có {x} không", "món ăn có chứa {x} không", "món này có chứa {x} không",
        "có nhìn thấy {x} trong ảnh không", "bạn có thấy {x} không", "ảnh có {x} không", "ở đây có {x} không",
        "trong đĩa có {x} không", "trong tô có {x} không", "trên khay có {x} không", "trên đĩa có {x} không",
        "{x} có trong ảnh không", "{x} có trong món này không", "trong ảnh có xuất hiện {x} không", "có {x} chứ",
        "món này có bỏ {x} không", "món này có thêm {x} không", "món này có dùng {x} không", "có {x} hay không",
        "có món {x} trong ảnh không", "kiểm tra xem có {x} không", "thành phần có {x} không",
    ],
    "sauce": [
        "trong ảnh có nước chấm không", "có nước chấm không", "món này có nước chấm không",
        "có chén nước chấm không", "có thấy nước chấm không", "ăn kèm nước chấm không", "có kèm nước chấm không",
        "có nước chấm trong hình không", "trên khay có nước chấm không", "có nước sốt chấm không",
        "món này ăn kèm nước chấm không", "có nước chấm đi kèm không", "có đồ chấm không", "có bát nước chấm nào không",
        "nước chấm có trong ảnh không", "có nước chấm hay không", "món này có kèm nước chấm không",
    ],
    "yesno": [
        *_OWN["yesno"],
        "đây là {x} phải không", "đây là {x} đúng không", "món này là {x} phải không", "phải {x} không",
        "có phải {x} không", "có phải món {x} không", "có phải đây là {x} không", "đây có đúng là {x} không",
        "món này là {x} hả", "đây là {x} à", "đây là {x} hả", "món trong ảnh là {x} phải không", "đó có phải là {x} không",
        "món ăn trong ảnh có phải là {x} không", "món ăn này có phải {x} không", "món này tên là {x} đúng không",
        "món này gọi là {x} phải không", "trong ảnh có phải là {x} không", "trong hình là {x} đúng không",
        "xác nhận đây là {x}", "món này có phải món {x} không", "liệu đây có phải là {x} không", "cái này là {x} phải không",
    ],
    "colour": [
        "món này có màu gì", "màu chính của món ăn là màu gì", "màu chủ đạo của món này là gì",
        "màu chủ đạo của món ăn là gì", "màu sắc chủ đạo của món ăn là gì",
        "màu chủ đạo là gì", "màu chính là gì", "màu gì", "món này màu gì", "món ăn có màu gì", "màu sắc của món này",
        "màu của món ăn này là gì", "món ăn này màu gì", "màu nổi bật là gì", "màu nổi bật nhất của món này là gì",
        "màu nào là chủ đạo", "món này chủ yếu màu gì", "màu nào nhiều nhất", "món trong ảnh màu gì",
        "tông màu chính của món này là gì", "gam màu chủ đạo của món ăn là gì", "màu sắc chính của món là gì",
    ],
    "colour_of": [
        *_OWN["colour"],
        "{x} có màu gì", "{x} màu gì", "màu của {x} là gì", "màu sắc của {x} là gì", "màu chính của {x} là màu gì",
        "{x} trong hình màu gì", "{x} có màu chủ đạo là gì", "{x} chủ yếu màu gì",
    ],
    "side": [
        *_OWN["side"],
        "{x} ở bên nào", "{x} bên trái hay bên phải", "{x} nằm bên trái hay bên phải", "{x} ở phía nào",
        "{x} nằm ở phía nào", "bên nào có {x}", "{x} được đặt ở bên nào", "{x} để bên nào", "vị trí của {x} là bên nào",
        "{x} nằm ở đâu bên trái hay bên phải", "{x} ở đâu",
    ],
    "tray": [
        "có tất cả bao nhiêu món", "trong ảnh có mấy món ăn", "trên khay có mấy món", "có bao nhiêu món trong ảnh",
        "có mấy món", "có bao nhiêu món ăn", "tổng cộng có mấy món", "khay này có bao nhiêu món", "trong khay có mấy món",
        "bữa ăn có mấy món", "mâm cơm có mấy món", "đếm số món ăn", "đếm số món trong ảnh", "số món là bao nhiêu",
        "số món ăn trong ảnh là bao nhiêu", "trong hình có bao nhiêu món", "bữa này có bao nhiêu món ăn",
    ],
    "count": [
        *_OWN["count"],
        "có mấy {x}", "có bao nhiêu {x}", "bao nhiêu {x} trong ảnh", "mấy {x} vậy", "trong hình có bao nhiêu {x}",
        "số lượng {x} là bao nhiêu", "đếm {x}", "đếm giúp tôi {x}", "đếm xem có mấy {x}", "món này có mấy {x}",
        "trong món này có bao nhiêu {x}", "tổng cộng có bao nhiêu {x}", "thấy mấy {x}", "trên đĩa có mấy {x}",
    ],
    "where": [
        *_OWN["where"],
        "{x} có món gì", "món {x} là gì", "món nào ở {x}", "món nào nằm {x}", "ở {x} là món gì", "cái gì ở {x}",
        "món ăn ở {x} là gì", "món ăn nằm ở {x} tên gì", "có gì ở {x}", "{x} của ảnh là món gì", "nằm ở {x} là món gì",
    ],
}  # fmt: skip

_SUBJECTS = (
    "món này", "món ăn này", "món trong ảnh", "món ăn trong ảnh", "món trong hình", "đây", "cái này", "đồ ăn này",
    "thức ăn này", "món đó", "món trên đĩa", "món trong tô", "món ăn trên bàn", "cái món này",
)  # fmt: skip


def _after_subject(*endings: str) -> list[str]:
    return [f"{subject} {ending}" for subject in _SUBJECTS for ending in endings]


def _of_subject(heads: tuple[str, ...], links: tuple[str, ...], end: str) -> list[str]:
    return [f"{head} {link} {subject} {end}" for head in heads for link in links for subject in _SUBJECTS]


_MORE["name"] += _after_subject(
    "là gì", "là món gì", "là món nào", "là món ăn gì", "là món ăn nào", "tên gì", "tên là gì", "gọi là gì", "có tên là gì",
    "là cái gì", "là đồ ăn gì",
)  # fmt: skip
_MORE["name"] += [
    "món gì ở đây", "ở đây là món gì", "ở đây có món gì", "có món gì ở đây", "có món gì trong ảnh",
    "trên bàn có món gì", "trong tô này là gì", "người ta đang ăn món gì", "ai biết đây là món gì", "món gì vậy", "món gì thế",
    "chụp món gì đây", "món ăn được chụp ở đây là gì", "đồ ăn gì đây", "món được dọn ra là gì", "món dọn trên bàn là gì",
    "món nằm trong đĩa là món gì", "trong đĩa là món gì", "trên đĩa là món gì", "món ăn đặt trên bàn tên gì",
]  # fmt: skip
_MORE["category"] += _after_subject(
    "thuộc loại nào", "thuộc loại gì", "thuộc nhóm nào", "thuộc nhóm món gì", "là loại món gì", "là loại gì", "là kiểu món gì",
    "thuộc thể loại nào", "xếp vào loại nào",
)  # fmt: skip
_MORE["main"] += _after_subject(
    "làm từ gì", "làm bằng gì", "nấu từ gì", "nấu bằng gì", "chế biến từ gì", "có thành phần chính là gì", "chủ yếu làm từ gì",
    "có nguyên liệu chính là gì", "làm từ nguyên liệu gì", "chủ yếu là gì", "chủ yếu có gì", "dùng nguyên liệu nào",
)  # fmt: skip
_MORE["main"] += _of_subject(
    ("thành phần chính", "nguyên liệu chính", "phần chính", "thành phần chủ yếu", "nguyên liệu chủ yếu"),
    ("của", "trong"),
    "là gì",
)
_MORE["colour"] += _after_subject("màu gì", "có màu gì", "chủ yếu màu gì", "có màu chủ đạo là gì", "có màu chính là gì")
_MORE["colour"] += _of_subject(("màu chính", "màu chủ đạo", "màu nổi bật", "màu sắc", "màu"), ("của",), "là gì")
_MORE["presence"] += _after_subject("có {x} không", "có thấy {x} không", "có chứa {x} không", "có {x} hay không")
_MORE["presence"] += [
    f"{at} {subject} có {{x}} không"
    for at in ("trong", "ở trong")
    for subject in ("món này", "món ăn này", "ảnh này", "hình này", "tô này", "đĩa này")
]
_MORE["yesno"] += _after_subject(
    "là {x} phải không", "là {x} đúng không", "có phải là {x} không", "có phải {x} không", "là món {x} đúng không",
    "phải {x} không", "là {x} hả", "có đúng là {x} không",
)  # fmt: skip

_MORE = {kind: list(dict.fromkeys(ways)) for kind, ways in _MORE.items()}

_HELD_OUT = {
    "name": [
        "nhìn hình đoán xem là món gì", "đồ ăn người ta chụp là món nào vậy", "tên của món ăn trong bức hình",
        "mình đang nhìn thấy món gì vậy", "món gì được bày ra ở đây",
        "món được chụp là món gì", "đồ ăn trong ảnh gọi là gì",
    ],
    "category": ["món này nằm trong nhóm món nào", "xếp món này vào loại gì", "món ăn đây thuộc dạng nào"],
    "main": ["món này dùng nguyên liệu gì là chính", "cái chính yếu trong món là gì", "để nấu món này chủ yếu cần gì"],
    "presence": [
        "liệu có {x} ở trong món này không", "hình chụp có {x} không vậy", "món ăn trong ảnh có kèm {x} không",
        "tìm xem có {x} trong ảnh không", "có chút {x} nào trong món này không",
    ],
    "sauce": ["món ăn có đi cùng nước chấm không", "thấy nước chấm trong ảnh không"],
    "yesno": [
        "món đang thấy là {x} phải chứ", "đây chính là {x} đúng chứ", "có đúng món này là {x} không",
        "món ăn được chụp có phải {x} không",
    ],
    "colour": ["món ăn này có màu sắc gì là chính", "nhìn món này có màu gì nhất", "màu chiếm nhiều nhất là màu nào"],
    "colour_of": ["{x} đang có màu gì", "nhìn {x} có màu gì"],
    "side": ["{x} được đặt bên trái hay bên phải", "{x} nằm về phía nào của ảnh"],
    "tray": ["trong bữa ăn có tổng cộng bao nhiêu món", "khay cơm gồm mấy món"],
    "count": ["đếm được bao nhiêu {x}", "có tổng cộng mấy {x} trong hình"],
    "where": ["món đặt {x} tên là gì", "nằm {x} là món nào"],
}  # fmt: skip
"""Ways of asking that training never hears: for measuring how well unheard ones are understood."""

_PLACES = {
    "bên phải": ["bên phải", "phía bên phải", "phía phải", "phía tay phải"],
    "bên trái": ["bên trái", "phía bên trái", "phía trái", "phía tay trái"],
    "phía trên": ["phía trên", "bên trên"],
    "phía dưới": ["phía dưới", "bên dưới"],
}

_SYNONYMS = {
    "đậu hũ": ["đậu phụ", "tàu hũ"], "thịt heo quay": ["heo quay", "thịt quay"], "dưa leo": ["dưa chuột"],
    "chả giò": ["nem rán", "chả ram"], "nước tương": ["xì dầu"], "khổ qua": ["mướp đắng"],
    "thịt kho trứng": ["thịt kho tàu", "thịt kho hột vịt"], "bắp cải luộc": ["cải bắp luộc"],
    "bắp cải xào": ["cải bắp xào"], "cơm cà ri": ["cà ri cơm"], "viên mọc": ["mọc", "giò mọc"], "tôm tít": ["bề bề"],
    "trứng chiên": ["trứng rán", "trứng ốp la"], "thịt chiên": ["thịt rán"], "cá chiên": ["cá rán"],
    "gà chiên": ["gà rán"], "bánh gạo cay tokbokki": ["tokbokki", "bánh gạo cay"], "trứng": ["hột gà", "trứng gà"],
    "bún bò Huế": ["bún bò"], "gà rán và khoai tây chiên": ["gà rán khoai tây"], "đậu que": ["đậu cô ve"],
    "trái": ["quả"], "quả": ["trái", "cái"], "miếng": ["cục"], "con tôm": ["tôm"], "nước mắm": ["chén nước mắm"],
    "thịt gà": ["gà"], "thịt bò": ["bò"], "cá": ["thịt cá"], "mực": ["con mực"], "tôm": ["con tôm"], "ớt": ["trái ớt"],
    "chuối": ["trái chuối"], "canh cải": ["canh rau cải"],
    "rau": ["rau sống", "rau xanh"], "cơm tấm": ["cơm sườn"],
}  # fmt: skip

_OPENINGS = (
    "cho hỏi",
    "cho mình hỏi",
    "bạn ơi",
    "em ơi",
    "xin hỏi",
    "cho tôi biết",
    "này",
    "ê",
    "vui lòng cho biết",
    "hỏi chút",
)
_CLOSINGS = ("vậy", "thế", "ạ", "nhỉ", "vậy bạn", "vậy ta", "hả", "ta", "á", "thế nhỉ", "vậy em", "nhé", "đây")


_OFF_TOPIC = [
    "thời tiết hôm nay thế nào", "hôm nay trời có mưa không", "hôm nay là thứ mấy", "bây giờ là mấy giờ", "mấy giờ rồi",
    "hôm nay ngày bao nhiêu", "xin chào", "chào bạn", "bạn tên là gì", "bạn là ai", "bạn bao nhiêu tuổi", "bạn khỏe không",
    "cảm ơn bạn", "tạm biệt", "hát cho tôi nghe một bài", "kể chuyện cười đi", "mở nhạc đi", "bật đèn lên", "tắt máy đi",
    "thủ đô của Việt Nam là gì", "ai là tổng thống Mỹ", "dân số Hà Nội là bao nhiêu", "một cộng một bằng mấy",
    "hai nhân ba bằng bao nhiêu", "đội nào vô địch bóng đá", "giá vàng hôm nay bao nhiêu", "giá xăng bao nhiêu",
    "món này bao nhiêu tiền", "món này giá bao nhiêu", "cái này bán bao nhiêu", "tính tiền giúp tôi", "cho tôi xem thực đơn",
    "món này có ngon không", "món này ngon không", "món này có cay không", "món này có mặn không", "món này có ngọt không",
    "món này bao nhiêu calo", "món này có bao nhiêu calo", "ăn món này có béo không", "ăn món này có tốt không",
    "cách nấu món này", "món này nấu như thế nào", "nấu món này mất bao lâu", "công thức món này là gì",
    "ở đâu bán món này", "quán nào bán món này ngon", "món này của nước nào", "món này xuất xứ từ đâu", "ai nấu món này",
    "nhà vệ sinh ở đâu", "đường đến sân bay đi thế nào", "mật khẩu wifi là gì", "quán mở cửa lúc mấy giờ", "mấy giờ đóng cửa",
    "tôi muốn đặt bàn", "gọi cho mẹ tôi", "nhắn tin cho anh Nam", "tôi buồn quá", "tôi yêu bạn", "bạn có người yêu chưa",
    "con mèo này dễ thương quá", "xe máy của tôi bị hỏng", "điện thoại này giá bao nhiêu", "máy tính này chạy hệ điều hành gì",
    "dịch câu này sang tiếng Anh", "tiếng Anh của con chó là gì", "viết một bài văn", "giải phương trình bậc hai",
    "trái đất quay quanh mặt trời", "ai phát minh ra bóng đèn", "năm nay là năm con gì", "tết năm nay vào ngày nào",
    "người trong ảnh là ai", "có mấy người trong ảnh", "ảnh này chụp ở đâu", "ảnh này chụp khi nào", "ai chụp ảnh này",
    "cái bàn màu gì", "cái ghế này làm bằng gì", "xe này màu gì", "nhà này có mấy tầng", "áo của bạn màu gì",
    "con vật này là con gì", "cây này là cây gì", "hoa này là hoa gì", "đây là xe gì", "đây là điện thoại gì", "logo này là gì",
    "hello", "how are you", "what is the weather", "what time is it", "who are you", "thank you", "ok", "test", "alo",
    "lịch học ngày mai", "bài tập về nhà", "phim này hay không", "bài hát này tên gì", "quyển sách này của ai",
]  # fmt: skip
"""Questions that the model cannot answer from a picture of food; it learns to say so."""

OFF_TOPIC_HELD_OUT = [
    "ngày mai trời có nắng không", "bây giờ là tháng mấy", "thủ tướng nước Anh tên gì", "hà nội cách sài gòn bao xa",
    "gọi taxi giúp tôi", "bạn thích đi du lịch ở đâu", "món này có đắt không", "món này để tủ lạnh được bao lâu",
    "làm sao để giảm cân", "học phí một năm là bao nhiêu", "con mèo nặng mấy kí", "chiếc xe đạp này của hãng nào",
    "ai viết truyện kiều", "sông nào dài nhất thế giới", "mở cửa sổ ra", "tỷ số trận đấu hôm qua", "bạn sinh năm nào",
    "good morning", "where is the station", "asdf qwer zxcv", "chuyến bay mấy giờ cất cánh", "vé xem phim bao nhiêu tiền",
    "máy giặt bị hỏng phải làm sao", "tại sao bầu trời màu xanh", "người đàn ông này bao nhiêu tuổi",
]  # fmt: skip
"""The same kind of questions, never used in training: for measuring how many are noticed."""


def off_topic(words: list[str], rng: random.Random) -> str:
    """A question that cannot be answered: another subject, an unknown thing, or words without order.

    `words` are known words to draw the last sort from. The nonsense word in the second sort stands for any thing that
    the vocabulary lacks.
    """
    sort = rng.random()
    if sort < 0.55:
        text = rng.choice(_OFF_TOPIC)
        return f"{text} {rng.choice(_CLOSINGS)}" if rng.random() < 0.2 else text
    if sort < 0.75:
        kind = rng.choice(("presence", "yesno", "count", "side", "colour_of"))
        return rng.choice(_MORE[kind]).format(x=rng.choice((_NONSENSE, f"{_NONSENSE} {_NONSENSE}")))
    return " ".join(rng.choice(words) if rng.random() < 0.6 else _NONSENSE for _ in range(rng.randint(1, 8)))


_NONSENSE = "qwx"


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("^" + re.escape(template).replace(r"\{x\}", "(.+)") + "$")


_SHAPES = {kind: [_pattern(t) for t in templates] for kind, templates in _OWN.items()}


KINDS = frozenset(_MORE) - {"colour_of"}
"""Kinds of question whose meaning is known here, and so what a crop or a mirror does to their answers."""


@dataclass(frozen=True)
class Asked:
    """A question taken apart: the list of ways to ask it, and the thing it names (None when it names nothing)."""

    ways: str
    thing: str | None = None


def parse(kind: str, question: str) -> Asked | None:
    """None when the question has none of the shapes known for its kind (any other data set, say)."""
    if kind in ("name", "category", "main", "sauce", "tray"):
        return Asked(kind) if question in _MORE[kind] else None
    if kind == "colour" and question in _MORE["colour"]:
        return Asked("colour")
    for shape in _SHAPES.get(kind, ()):
        found = shape.match(question)
        if found:
            return Asked("colour_of" if kind == "colour" else kind, found.group(1))
    return None


def ask(asked: Asked, rng: random.Random, synonyms: bool = True) -> str:
    """One of the ways of asking, at random."""
    way = rng.choice(_MORE[asked.ways])
    if asked.thing is None:
        return way
    thing = asked.thing
    if asked.ways == "where":
        thing = rng.choice(_PLACES.get(thing.removeprefix("ở "), [thing]))
    elif synonyms and rng.random() < 0.25:
        thing = synonym(thing, rng)
    return way.format(x=thing).replace("ở ở", "ở").replace("món món", "món")


def synonym(thing: str, rng: random.Random) -> str:
    """Another name of the same thing, or the thing itself when none is known."""
    if thing in _SYNONYMS:
        return rng.choice(_SYNONYMS[thing])
    for word in ("quả", "trái", "miếng"):
        if thing == word or thing.startswith(word + " "):
            return rng.choice(_SYNONYMS[word]) + thing.removeprefix(word)
    return thing


def rephrase(kind: str, question: str, rng: random.Random) -> str:
    """The same question asked in another way; the question itself where its shape is not known."""
    asked = parse(kind, question)
    text = question if asked is None else ask(asked, rng)
    if asked is not None:
        if rng.random() < 0.15:
            text = f"{rng.choice(_OPENINGS)} {text}"
        if rng.random() < 0.15:
            text = f"{text} {rng.choice(_CLOSINGS)}"
    return text


def rephrase_unheard(kind: str, question: str, rng: random.Random) -> str:
    """Like rephrase, in ways that training never hears."""
    asked = parse(kind, question)
    return question if asked is None else rng.choice(_HELD_OUT[asked.ways]).format(x=asked.thing)


def every_text() -> list[str]:
    """All text this file can utter, for building a vocabulary."""
    texts = [way.replace("{x}", " ") for ways in _MORE.values() for way in ways]
    texts += [s for names in _SYNONYMS.values() for s in names]
    texts += [p for places in _PLACES.values() for p in places]
    return [*texts, *_OPENINGS, *_CLOSINGS, *_OFF_TOPIC]


def own_way(asked: Asked, rng: random.Random) -> str:
    """One of the data set's own ways of asking (used when a new question is made from boxes)."""
    way = rng.choice(_OWN[asked.ways])
    return way.format(x=asked.thing)
