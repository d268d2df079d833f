"""The published model and its losses as the paper states them (arXiv 2403.10635): plain modules, explicit loops.

Modules have the published checkpoint's names, so that `state_dict()` is a published checkpoint. Nothing of the model
room is imported: what it computes is compared with this.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; the first has the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = downsample(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)) + residual)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions; the 3x3 has the stride (torchvision's form, ResNet v1.5)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = outputs // 4
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = downsample(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return functional.relu(self.bn3(self.conv3(x)) + residual)


def downsample(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def resnet(stem: int, depths: tuple[int, ...], sizes: tuple[int, ...], kind: str) -> nn.Sequential:
    """Places 0 to 6: conv1, bn1, relu, maxpool, layer1, layer2, layer3."""
    block = {"basic": BasicBlock, "bottleneck": Bottleneck}[kind]
    parts: list[nn.Module] = [
        nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(stem),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    ]
    inputs = stem
    for number, (depth, outputs) in enumerate(zip(depths, sizes, strict=True)):
        blocks = [block(inputs, outputs, stride=1 if number == 0 else 2)]
        blocks += [block(outputs, outputs, stride=1) for _ in range(depth - 1)]
        parts.append(nn.Sequential(*blocks))
        inputs = outputs
    return nn.Sequential(*parts)


class Layer(nn.Module):
    """norm1, self-attention, add; norm2, cross-attention, add; norm3, linear1, ReLU, linear2, add."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads, dropout=dropout)
        self.multihead_attn = nn.MultiheadAttention(width, heads, dropout=dropout)
        self.linear1, self.linear2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries_QBD: Tensor, patches_NBD: Tensor) -> tuple[Tensor, Tensor]:
        normed_QBD = self.norm1(queries_QBD)
        queries_QBD = queries_QBD + self.dropout(self.self_attn(normed_QBD, normed_QBD, normed_QBD)[0])
        seen_QBD, attention_BQN = self.multihead_attn(self.norm2(queries_QBD), patches_NBD, patches_NBD)
        queries_QBD = queries_QBD + self.dropout(seen_QBD)
        hidden = self.dropout(functional.relu(self.linear1(self.norm3(queries_QBD))))
        return queries_QBD + self.dropout(self.linear2(hidden)), attention_BQN


class Decoder(nn.Module):
    """Layers of its own, and a last norm that both decoders share."""

    def __init__(self, layers: int, width: int, heads: int, dropout: float, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(layers))
        self.norm = norm

    def forward(self, queries_QBD: Tensor, patches_NBD: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = []
        for layer in self.layers:
            queries_QBD, attention_BQN = layer(queries_QBD, patches_NBD)
            maps.append(attention_BQN)
        return self.norm(queries_QBD), maps


class Published(nn.Module):
    """The published model over two books."""

    def __init__(
        self,
        t_p: Tensor,
        t_a: Tensor,
        *,
        stem: int = 64,
        depths: tuple[int, ...] = (3, 4, 6),
        sizes: tuple[int, ...] = (256, 512, 1024),
        kind: str = "bottleneck",
        width: int = 256,
        layers: int = 4,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.t_p, self.t_a = t_p, t_a
        channels, text_width = sizes[-1], t_p.shape[1]
        self.res_features = resnet(stem, depths, sizes, kind)
        self.mask_generator = nn.Linear(channels, channels)
        self.res_l1_pathology, self.res_l2_pathology = nn.Linear(channels, channels), nn.Linear(channels, width)
        self.res_l1_anatomy, self.res_l2_anatomy = nn.Linear(channels, channels), nn.Linear(channels, width)
        self.pathology_embedding_layer = nn.Linear(text_width, width)
        norm = nn.LayerNorm(width)
        self.decoder_anatomy = Decoder(layers, width, heads, dropout, norm)
        self.decoder_pathology = Decoder(layers, width, heads, dropout, norm)
        self.cl_fc_pathology, self.cl_fc_anatomy = nn.Linear(width, text_width), nn.Linear(width, text_width)
        self.classifier_pathology, self.classifier_anatomy = nn.Linear(width, 2), nn.Linear(width, 2)
        self.d = nn.Dropout(dropout)

    def forward(self, images_B1HW: Tensor) -> dict[str, Tensor]:
        levels_B1HW = images_B1HW.to(self.mask_generator.weight.dtype) / 255
        image_B3HW = torch.stack(
            [(levels_B1HW[:, 0] - mean) / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)], 1
        )
        x = self.res_features(image_B3HW).flatten(2).transpose(1, 2)  # [B, N, C]
        m = self.mask_generator(x)
        v_p = self.res_l2_pathology(functional.relu(self.res_l1_pathology(m * x)))
        v_a = self.res_l2_anatomy(functional.relu(self.res_l1_anatomy((1 - m) * x)))
        batch = len(images_B1HW)
        q_p = self.pathology_embedding_layer(self.t_p).unsqueeze(1).repeat(1, batch, 1)
        q_a = self.pathology_embedding_layer(self.t_a).unsqueeze(1).repeat(1, batch, 1)
        z_p, maps_p = self.decoder_pathology(q_p, v_p.transpose(0, 1))
        z_a, maps_a = self.decoder_anatomy(q_a, v_a.transpose(0, 1))
        z_p, z_a = z_p.transpose(0, 1), z_a.transpose(0, 1)
        logits_p, logits_a = self.classifier_pathology(self.d(z_p)), self.classifier_anatomy(self.d(z_a))
        return {
            "z_p": z_p,
            "z_a": z_a,
            "logits_p": logits_p,
            "logits_a": logits_a,
            "presence": logits_p.softmax(-1)[..., 1],
            "place": torch.sigmoid(torch.einsum("bad,bpd->bap", z_a, z_p)),
            "maps_p": torch.stack(maps_p, 1),
            "maps_a": torch.stack(maps_a, 1),
        }

    def losses(self, images_B1HW: Tensor, M: Tensor, drawn_p: Tensor, drawn_a: Tensor) -> dict[str, Tensor]:
        """The five terms, with the indices of the negatives given: [B, P, K] and [B, A, K]."""
        out = self(images_B1HW)
        y_p, y_a = existence_targets(M)
        M_columns = M.transpose(1, 2)  # [B, P, A]
        return {
            "existence_p": existence(out["logits_p"], y_p),
            "existence_a": existence(out["logits_a"], y_a),
            "prototype_p": prototype(self.d(out["z_p"]), self.cl_fc_pathology, self.t_a, M_columns, drawn_p),
            "prototype_a": prototype(self.d(out["z_a"]), self.cl_fc_anatomy, self.t_p, M, drawn_a),
            "relation": relation(out["z_a"], out["z_p"], M),
        }


def existence_targets(M: Tensor) -> tuple[Tensor, Tensor]:
    """y: 1 if a line holds a 1, else 0 if it holds a 0, else -1; over columns (pathologies), over rows (anatomies)."""

    def target(line: list[int]) -> int:
        return 1 if 1 in line else 0 if 0 in line else -1

    columns = [[target(column) for column in study.T.tolist()] for study in M]
    rows = [[target(row) for row in study.tolist()] for study in M]
    return torch.tensor(columns), torch.tensor(rows)


def mean_of(losses: list[Tensor], like: Tensor) -> Tensor:
    """The mean; 0 where there is nothing to average (the published code gives NaN)."""
    return torch.stack(losses).mean() if losses else like.sum() * 0


def existence(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of absent against present, mean over entries whose target is 0 or 1."""
    losses = []
    for study in range(len(y)):
        for query in range(y.shape[1]):
            if y[study, query] >= 0:
                losses.append(functional.cross_entropy(logits[study, query], y[study, query].long()))
    return mean_of(losses, logits)


def prototype(z: Tensor, project: nn.Linear, book: Tensor, M: Tensor, drawn: Tensor) -> Tensor:
    """For each (study, query) with a present cell: the averaged prototype against the K drawn entries."""
    losses = []
    for study in range(len(M)):
        for query in range(M.shape[1]):
            present = [entry for entry in range(M.shape[2]) if M[study, query, entry] == 1]
            if not present:
                continue
            average = torch.zeros_like(book[0])
            for entry in present:
                average = average + book[entry] / len(present)
            projected = project(z[study, query])
            logits = [average @ projected]
            for entry in drawn[study, query].tolist():
                assert M[study, query, entry] != 1
                logits.append(book[entry] @ projected)
            losses.append(functional.cross_entropy(torch.stack(logits), torch.tensor(0)))
    return mean_of(losses, z)


def relation(z_a: Tensor, z_p: Tensor, M: Tensor) -> Tensor:
    """BCEWithLogits of <z_a[i], z_p[j]> against M[i, j], mean over entries with M >= 0."""
    losses = []
    for study, i, j in (M >= 0).nonzero().tolist():
        logit = z_a[study, i] @ z_p[study, j]
        target = M[study, i, j].to(logit.dtype)
        losses.append(functional.binary_cross_entropy_with_logits(logit, target))
    return mean_of(losses, z_a)
